package io.peft4j.task;

import io.peft4j.graph.Graph;

/** What training makes small, as nodes of a graph. */
public interface Objective {
  /** What tells this objective from others, its settings included. */
  String name();

  /**
   * The graph with the inputs that the objective needs, {@link Loss#LABELS} among them, and the
   * scalar output {@link Loss#OUTPUT}.
   *
   * @param logits the output to judge
   */
  Graph attach(Graph graph, String logits);

  /** Where there is one score for two classes: above this it means class 1. */
  double threshold();
}
