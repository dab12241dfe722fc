package io.peft4j.compress.lowrank;

import io.peft4j.math.Cholesky;
import io.peft4j.math.Matrix;
import io.peft4j.math.Svd;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The singular values of a weight as its data see it, and the products nearest to it. With C = Xᵀ X
 * = L Lᵀ the norm ‖X (W − W′)ᵀ‖ is that of (W − W′) L, so that the best W′ of rank r is the
 * truncated decomposition of W L, times L⁻¹ (as in SVD-LLM, arXiv 2403.07378). Without data L is
 * the identity.
 */
final class Factors {
  private final Svd svd;
  private final @Nullable Cholesky root;

  private Factors(Svd svd, @Nullable Cholesky root) {
    this.svd = svd;
    this.root = root;
  }

  static Factors of(Matrix weight) {
    return new Factors(Svd.of(weight), null);
  }

  /**
   * Decomposes what data see.
   *
   * @param products Xᵀ X, [in, in]
   * @param damping what is added to its diagonal, as a share of its mean
   */
  static Factors of(Matrix weight, Matrix products, double damping) {
    double[] ridge = new double[products.rows()];
    Arrays.fill(ridge, damping * Arrays.stream(products.diagonal()).average().orElse(0));
    Cholesky root = Cholesky.of(products.plus(Matrix.diagonal(ridge)));
    return new Factors(Svd.of(weight.times(root.lower())), root);
  }

  double[] singular() {
    return svd.singular();
  }

  /**
   * Two matrices whose product is nearest to the weight.
   *
   * @param up [out, r]
   * @param down [r, in]
   */
  record Pair(Matrix up, Matrix down) {
    Matrix product() {
      return up.times(down);
    }
  }

  /** The factors of a rank; the singular values are shared evenly between both. */
  Pair of(int rank) {
    Svd part = svd.truncated(rank);
    double[] roots = Arrays.stream(part.singular()).map(Math::sqrt).toArray();
    Matrix down = part.vTransposed();
    if (root != null) {
      down = root.solveUpper(down.transposed()).transposed(); // V L⁻¹
    }
    return new Pair(part.u().scaledColumns(roots), down.scaledRows(roots));
  }
}
