package io.peft4j.adapters.frod;

import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.math.Qr;
import io.peft4j.math.SymmetricEigen;
import java.util.List;

/**
 * The basis that layers share, by the hierarchical joint decomposition: with the weights one over
 * the other Q R, the eigenvectors Z of the mean of (Qᵢᵀ Qᵢ + α I)⁻¹ give V = Rᵀ Z.
 */
final class JointBasis {
  private JointBasis() {}

  /**
   * @param weights [out, in] each
   * @param alpha above 0
   * @return V [in, in]
   */
  static Matrix of(List<Matrix> weights, double alpha) {
    Matrix stacked = stacked(weights);
    int in = stacked.columns();
    if (stacked.rows() < in) {
      // Right singular vectors, and what completes them.
      return SymmetricEigen.of(stacked.transposed().times(stacked)).vectors();
    }
    Qr qr = Qr.of(stacked);
    Matrix sum = Matrix.zeros(in, in);
    int from = 0;
    for (Matrix weight : weights) {
      Matrix part = qr.q().rows(from, from + weight.rows());
      Matrix term = part.transposed().times(part).plus(Matrix.identity(in).scaled(alpha));
      sum = sum.plus(term.inverse());
      from += weight.rows();
    }
    Matrix mean = sum.scaled(1.0 / weights.size());
    return qr.r().transposed().times(SymmetricEigen.of(mean).vectors());
  }

  /** The lengths of the columns of W V⁻ᵀ, float32 [in]. */
  static Tensor lengths(Matrix basis, Matrix weight) {
    Matrix rows = basis.solve(weight.transposed()); // (W V⁻ᵀ)ᵀ
    float[] lengths = new float[rows.rows()];
    for (int i = 0; i < lengths.length; i++) {
      lengths[i] = (float) rows.rows(i, i + 1).norm();
    }
    return Tensor.ofFloats(new long[] {lengths.length}, lengths);
  }

  private static Matrix stacked(List<Matrix> weights) {
    int in = weights.get(0).columns();
    int rows = weights.stream().mapToInt(Matrix::rows).sum();
    double[] values = new double[Math.multiplyExact(rows, in)];
    int next = 0;
    for (Matrix weight : weights) {
      double[] own = weight.values();
      System.arraycopy(own, 0, values, next, own.length);
      next += own.length;
    }
    return Matrix.of(rows, in, values);
  }
}
