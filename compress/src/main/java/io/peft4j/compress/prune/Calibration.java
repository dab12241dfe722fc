package io.peft4j.compress.prune;

import io.peft4j.data.BatchSource;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.task.Objective;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Rows that a model is looked at on.
 *
 * @param objective what makes the loss
 * @param logits the output that it judges
 * @param batchSize rows of one gradient, where rows are not looked at one by one
 */
record Calibration(BatchSource rows, Objective objective, String logits, int batchSize) {

  int batches() {
    return (rows.size() + batchSize - 1) / batchSize;
  }

  Map<String, Tensor> batch(int number) {
    int from = number * batchSize;
    return rows.batch(IntStream.range(from, Math.min(rows.size(), from + batchSize)).toArray());
  }

  /** A batch without what only the loss takes. */
  static Map<String, Tensor> inputs(Graph graph, Map<String, Tensor> batch) {
    Map<String, Tensor> inputs = new LinkedHashMap<>(batch);
    inputs.keySet().retainAll(graph.requiredInputs());
    return inputs;
  }

  /** The row of middle length, as a batch, without what only the loss takes. */
  static Map<String, Tensor> middle(Graph graph, BatchSource rows) {
    int row =
        IntStream.range(0, rows.size())
            .boxed()
            .sorted(Comparator.comparingInt(rows::length))
            .skip(rows.size() / 2)
            .findFirst()
            .orElseThrow();
    return inputs(graph, rows.batch(new int[] {row}));
  }

  /** The same rows in batches of another size. */
  Calibration by(int size) {
    return new Calibration(rows, objective, logits, size);
  }
}
