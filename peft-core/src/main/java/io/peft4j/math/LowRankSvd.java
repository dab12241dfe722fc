package io.peft4j.math;

import static com.google.common.base.Preconditions.checkArgument;

import io.peft4j.engine.torch.TorchFunction;
import io.peft4j.graph.Tensor;
import java.util.List;

/**
 * The leading part of a singular value decomposition as {@code torch.svd_lowrank} finds it in
 * float32 after {@code torch.manual_seed}: a basis of random combinations that two rounds of power
 * iteration turn towards the leading directions (Halko et al. 2009, algorithms 4.4 and 5.1). It
 * depends on the seed: for adapters whose files rely on it.
 *
 * @param u float32 [rows, rank]
 * @param v float32 [columns, rank]
 */
public record LowRankSvd(Tensor u, Tensor v) {
  private static final int ROUNDS = 2;

  private static final class Functions {
    static final TorchFunction BASIS =
        TorchFunction.of(
            "a basis of a product", 2, "torch.linalg_qr(torch.matmul(x0, x1), \"reduced\")[0]");
    static final TorchFunction TURNED_BASIS =
        TorchFunction.of(
            "a basis of a product",
            2,
            "torch.linalg_qr(torch.matmul(torch.t(x0), x1), \"reduced\")[0]");
    static final TorchFunction WITHIN =
        TorchFunction.ofTuple(
            "the singular value decomposition",
            2,
            "torch.linalg_svd(torch.matmul(torch.t(x0), x1), False)",
            3);
    static final TorchFunction TURNED_WITHIN =
        TorchFunction.ofTuple(
            "the singular value decomposition",
            2,
            "torch.linalg_svd(torch.matmul(torch.t(x0), torch.t(x1)), False)",
            3);
    static final TorchFunction PRODUCT =
        TorchFunction.of("the product of two matrices", 2, "torch.matmul(x0, x1)");
  }

  /**
   * Decomposes.
   *
   * @param matrix float32, finite
   */
  public static LowRankSvd of(Tensor matrix, int rank, int seed) {
    checkArgument(
        rank >= 1 && rank <= Math.min(matrix.dim(0), matrix.dim(1)), "rank %s of %s", rank, matrix);
    boolean wide = matrix.dim(0) < matrix.dim(1);
    TorchFunction forth = wide ? Functions.TURNED_BASIS : Functions.BASIS;
    TorchFunction back = wide ? Functions.BASIS : Functions.TURNED_BASIS;
    long narrow = Math.min(matrix.dim(0), matrix.dim(1));
    float[] random = new TorchGenerator(seed).normal(Math.toIntExact(narrow * rank));
    Tensor basis = forth.apply(matrix, Tensor.ofFloats(new long[] {narrow, rank}, random)).get(0);
    for (int i = 0; i < ROUNDS; i++) {
      basis = forth.apply(matrix, back.apply(matrix, basis).get(0)).get(0);
    }
    TorchFunction within = wide ? Functions.TURNED_WITHIN : Functions.WITHIN;
    List<Tensor> parts = within.apply(basis, matrix);
    Tensor along = Functions.PRODUCT.apply(basis, parts.get(0)).get(0);
    Tensor across = parts.get(2).transposed(1, 0);
    return wide ? new LowRankSvd(across, along) : new LowRankSvd(along, across);
  }
}
