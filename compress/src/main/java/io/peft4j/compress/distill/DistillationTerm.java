package io.peft4j.compress.distill;

import io.peft4j.graph.GraphEditor;

/** One part of the loss that a student learns by. */
public interface DistillationTerm {
  /**
   * Adds the nodes of the term, and the inputs for what the teacher says.
   *
   * @param logits the student's scores
   * @return the name of the term's value, a scalar
   */
  String attach(GraphEditor editor, String logits);
}
