package io.peft4j.compress.prune;

import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.util.Map;

/**
 * How large a model is.
 *
 * @param parameters numbers that the weights hold
 * @param flops floating-point operations of matrix products and convolutions on one row
 * @param bytes of all initializers
 */
public record ModelSize(long parameters, long flops, long bytes) {

  /**
   * The size of a graph.
   *
   * @param row inputs of one row
   */
  static ModelSize of(Graph graph, Map<String, Tensor> row) {
    long macs = MacCount.of(graph, ValueShapes.of(graph, row));
    long bytes = graph.initializers().values().stream().mapToLong(Tensor::byteSize).sum();
    return new ModelSize(graph.parameterCount(), 2 * macs, bytes);
  }
}
