package io.peft4j.math;

import static com.google.common.base.Preconditions.checkArgument;

import io.peft4j.engine.torch.TorchFunction;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.Arrays;
import java.util.List;

/**
 * The singular value decomposition A = U diag(s) Vᵀ, as small as A allows: k = min(rows, columns).
 * The signs of pairs of singular vectors are free.
 *
 * @param u orthonormal columns [rows, k]
 * @param singular the singular values, falling
 * @param vTransposed orthonormal rows [k, columns]
 */
public record Svd(Matrix u, double[] singular, Matrix vTransposed) {
  private static final class Functions {
    static final TorchFunction SVD =
        TorchFunction.ofTuple(
            "the singular value decomposition", 1, "torch.linalg_svd(x0, False)", 3);
  }

  public Svd {
    singular = singular.clone();
  }

  @Override
  public double[] singular() {
    return singular.clone();
  }

  /**
   * Decomposes.
   *
   * @throws io.peft4j.PeftException if a number is not finite
   */
  public static Svd of(Matrix matrix) {
    return of(Functions.SVD.apply(matrix.toTensor()));
  }

  /**
   * Decomposes in float32, with the signs that torch's decomposition of a float32 matrix has: for
   * adapters whose files rely on them.
   *
   * @throws io.peft4j.PeftException if a number is not finite
   */
  public static Svd inSinglePrecision(Matrix matrix) {
    return of(Functions.SVD.apply(matrix.toTensor(DType.FLOAT32)));
  }

  private static Svd of(List<Tensor> parts) {
    return new Svd(Matrix.of(parts.get(0)), parts.get(1).toDoubles(), Matrix.of(parts.get(2)));
  }

  /** The part of the largest singular values: the nearest matrix of that rank. */
  public Svd truncated(int rank) {
    checkArgument(rank >= 0 && rank <= singular.length, "rank %s of %s", rank, singular.length);
    return new Svd(u.columns(0, rank), Arrays.copyOf(singular, rank), vTransposed.rows(0, rank));
  }

  /** U diag(s) Vᵀ. */
  public Matrix product() {
    return u.scaledColumns(singular).times(vTransposed);
  }
}
