package io.peft4j.adapters.lora;

import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;

/** Sums of a weight and a low-rank product, in float64. */
final class LowRank {
  private LowRank() {}

  /**
   * W + s B A, with rows of length m where magnitudes are given.
   *
   * @param weight [out, n]
   * @param a [r, n], of any number of axes
   * @param b [out, r], likewise
   * @param magnitudes m, [out]; empty for none
   */
  static Matrix added(Matrix weight, Tensor a, Tensor b, double scale, double... magnitudes) {
    int out = weight.rows();
    int rank = Math.toIntExact(b.size() / out);
    Matrix product = matrix(b, out, rank).times(matrix(a, rank, weight.columns()));
    Matrix sum = weight.plus(product.scaled(scale));
    return magnitudes.length == 0 ? sum : sum.scaledRows(factors(sum, magnitudes));
  }

  /** m / ‖row‖. */
  static double[] factors(Matrix sum, double... magnitudes) {
    double[] squares = Magnitudes.squaredRows(sum.values(), sum.rows());
    double[] factors = magnitudes.clone();
    for (int i = 0; i < factors.length; i++) {
      factors[i] /= Math.sqrt(squares[i]);
    }
    return factors;
  }

  private static Matrix matrix(Tensor tensor, int rows, int columns) {
    return Matrix.of(rows, columns, tensor.toDoubles());
  }
}
