package io.peft4j.math;

import io.peft4j.engine.torch.TorchFunction;
import io.peft4j.graph.Tensor;
import java.util.List;

/**
 * A = Q R, as small as A allows: k = min(rows, columns). The signs of R's diagonal are free.
 *
 * @param q orthonormal columns [rows, k]
 * @param r upper triangular [k, columns]
 */
public record Qr(Matrix q, Matrix r) {
  private static final class Functions {
    static final TorchFunction QR =
        TorchFunction.ofTuple("the QR decomposition", 1, "torch.linalg_qr(x0, \"reduced\")", 2);
  }

  public static Qr of(Matrix matrix) {
    List<Tensor> parts = Functions.QR.apply(matrix.toTensor());
    return new Qr(Matrix.of(parts.get(0)), Matrix.of(parts.get(1)));
  }
}
