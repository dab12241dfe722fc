package io.peft4j.math;

import io.peft4j.engine.torch.TorchFunction;
import io.peft4j.graph.Tensor;
import java.util.List;

/**
 * A = V diag(λ) Vᵀ of a symmetric matrix, of which the lower half is read. The signs of the vectors
 * are free.
 *
 * @param values λ, rising
 * @param vectors V, orthonormal columns
 */
public record SymmetricEigen(double[] values, Matrix vectors) {
  private static final class Functions {
    static final TorchFunction EIGEN =
        TorchFunction.ofTuple("the eigenvalue decomposition", 1, "torch.linalg_eigh(x0)", 2);
  }

  public SymmetricEigen {
    values = values.clone();
  }

  @Override
  public double[] values() {
    return values.clone();
  }

  public static SymmetricEigen of(Matrix matrix) {
    List<Tensor> parts = Functions.EIGEN.apply(matrix.toTensor());
    return new SymmetricEigen(parts.get(0).toDoubles(), Matrix.of(parts.get(1)));
  }
}
