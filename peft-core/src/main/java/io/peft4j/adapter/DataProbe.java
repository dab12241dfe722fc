package io.peft4j.adapter;

import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;

/** A little of the training data, for methods whose start depends on it. */
public interface DataProbe {
  /** The loss of {@link #judged}. */
  String LOSS = "loss";

  /** Some batches with their labels, by the names of the inputs of a judged model. */
  List<Map<String, Tensor>> batches();

  /** Decides about what is drawn. */
  long seed();

  /** The model with the loss that it will be trained for, as the output {@link #LOSS}. */
  Graph judged(Graph model);
}
