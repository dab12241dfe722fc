package io.peft4j.adapters.lora;

import io.peft4j.adapters.linear.Expression;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;

/**
 * DoRA (Liu et al. 2024, arXiv 2402.09353): every row of W + s B A has a trained length. The
 * present length counts as a constant in the backward pass, and comes from products of rank r
 * alone: ‖W + s B A‖² = ‖W‖² + 2 s ⟨W, B A⟩ + s² ‖B A‖² by row, where ⟨W, B A⟩ = ⟨W Aᵀ, B⟩ and ‖B
 * A‖² = ⟨B (A Aᵀ), B⟩.
 */
final class Magnitudes {
  private Magnitudes() {}

  /** The squared length of each of so many rows. */
  static double[] squaredRows(double[] matrix, int rows) {
    int columns = matrix.length / rows;
    double[] squares = new double[rows];
    for (int i = 0; i < matrix.length; i++) {
      squares[i / columns] += matrix[i] * matrix[i];
    }
    return squares;
  }

  /** The lengths of rows whose squares are given, where training of them starts. */
  static Tensor lengths(double[] squares, long... shape) {
    double[] lengths = squares.clone();
    for (int i = 0; i < lengths.length; i++) {
      lengths[i] = Math.sqrt(lengths[i]);
    }
    return Tensor.ofDoubles(shape, lengths).cast(DType.FLOAT32);
  }

  /**
   * The present length of each row, [out].
   *
   * @param squares ‖W‖² by row, [out]
   * @param weightByA W Aᵀ, [out, r]
   * @param a [r, n], without a gradient as all of these
   * @param b [out, r]
   */
  static Expression present(
      Expression squares, Expression weightByA, Expression a, Expression b, double scale) {
    Expression across = weightByA.times(b).sum(1, false);
    Expression own = b.matmul(a.matmul(a.transposed())).times(b).sum(1, false);
    return squares.plus(across.times(2 * scale)).plus(own.times(scale * scale)).sqrt();
  }
}
