package io.peft4j.math;

import io.peft4j.engine.torch.TorchFunction;

/**
 * A = L Lᵀ of a symmetric positive definite matrix, of which the lower half is read.
 *
 * @param lower L, lower triangular
 */
public record Cholesky(Matrix lower) {
  private static final class Functions {
    static final TorchFunction CHOLESKY =
        TorchFunction.of("the Cholesky decomposition", 1, "torch.linalg_cholesky(x0)");
    static final TorchFunction SOLVE =
        TorchFunction.of("solving by Cholesky", 2, "torch.cholesky_solve(x0, x1)");
    static final TorchFunction INVERSE =
        TorchFunction.of("inverting by Cholesky", 1, "torch.cholesky_inverse(x0)");
    static final TorchFunction LOWER =
        TorchFunction.of(
            "solving a triangular system", 2, "torch.linalg_solve_triangular(x0, x1, upper=False)");
    static final TorchFunction UPPER =
        TorchFunction.of(
            "solving a triangular system",
            2,
            "torch.linalg_solve_triangular(torch.t(x0), x1, upper=True)");
  }

  /**
   * Decomposes.
   *
   * @throws io.peft4j.PeftException if the matrix is not positive definite
   */
  public static Cholesky of(Matrix matrix) {
    return new Cholesky(Matrix.of(Functions.CHOLESKY.apply(matrix.toTensor()).get(0)));
  }

  /** X of A X = right. */
  public Matrix solve(Matrix right) {
    return Matrix.of(Functions.SOLVE.apply(right.toTensor(), lower.toTensor()).get(0));
  }

  /** X of L X = right. */
  public Matrix solveLower(Matrix right) {
    return Matrix.of(Functions.LOWER.apply(lower.toTensor(), right.toTensor()).get(0));
  }

  /** X of Lᵀ X = right. */
  public Matrix solveUpper(Matrix right) {
    return Matrix.of(Functions.UPPER.apply(lower.toTensor(), right.toTensor()).get(0));
  }

  /** The inverse of A, exactly symmetric. */
  public Matrix inverse() {
    return Matrix.of(Functions.INVERSE.apply(lower.toTensor()).get(0));
  }
}
