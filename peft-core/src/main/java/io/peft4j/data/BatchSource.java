package io.peft4j.data;

import io.peft4j.graph.Tensor;
import java.util.Map;

/** Examples that can be put together into the inputs of a program. */
public interface BatchSource {
  /** How many examples there are. */
  int size();

  /**
   * The inputs of some examples, labels included, by the names of the program's inputs.
   *
   * @param rows numbers of examples, from 0
   */
  Map<String, Tensor> batch(int[] rows);

  /** The length of an example in tokens; what batches are padded to depends on it. */
  int length(int row);

  /** The class of an example; -1 if it has none. */
  long label(int row);
}
