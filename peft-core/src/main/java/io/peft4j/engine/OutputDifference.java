package io.peft4j.engine;

import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.util.Map;

/** The largest difference between the outputs of two programs. */
public final class OutputDifference {
  private OutputDifference() {}

  /** What rounding explains: 1e-4, or 2e-2 for 16-bit weights. */
  public static double tolerance(Graph graph) {
    boolean narrow =
        graph.initializers().values().stream()
            .anyMatch(t -> t.dtype() == DType.FLOAT16 || t.dtype() == DType.BFLOAT16);
    return narrow ? 2e-2 : 1e-4;
  }

  /**
   * The largest absolute difference over the floating-point outputs that both have; NaN if one is
   * not a number where the other is one.
   */
  public static double largest(Map<String, Tensor> left, Map<String, Tensor> right) {
    double worst = 0;
    for (Map.Entry<String, Tensor> entry : left.entrySet()) {
      Tensor other = right.get(entry.getKey());
      if (other != null && entry.getValue().dtype().isFloat()) {
        worst = Math.max(worst, largest(entry.getValue(), other));
      }
    }
    return worst;
  }

  /** The largest absolute difference between two tensors of one shape. */
  public static double largest(Tensor left, Tensor right) {
    double[] a = left.toDoubles();
    double[] b = right.toDoubles();
    double worst = 0;
    for (int i = 0; i < a.length; i++) {
      double difference =
          a[i] == b[i] || (Double.isNaN(a[i]) && Double.isNaN(b[i])) ? 0 : Math.abs(a[i] - b[i]);
      if (Double.isNaN(difference)) {
        return Double.NaN;
      }
      worst = Math.max(worst, difference);
    }
    return worst;
  }
}
