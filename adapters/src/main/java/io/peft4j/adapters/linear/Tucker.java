package io.peft4j.adapters.linear;

import io.peft4j.graph.Tensor;

/** Tucker's form of kernels, as the methods of LyCORIS have it. */
public final class Tucker {
  private Tucker() {}

  /** Start values of t, [r, r, a, b]; kernels of one axis have b = 1. */
  public static Tensor start(AdaptedLinear layer, Kernels kernels, int rank) {
    long[] axes = kernels.axes();
    return layer
        .kaiming(rank, (long) rank * kernels.size())
        .reshaped(rank, rank, axes[0], axes.length == 1 ? 1 : axes[1]);
  }

  /**
   * W[p, q, k] = Σ t[i, j, k] a[i, p] b[j, q] over i and j, as a matrix [p, q · k].
   *
   * @param t [r, r, ...], whose further axes have {@code size} elements
   * @param a [r, p]
   * @param b [r, q]
   */
  public static Expression matrix(
      Expression t, Expression a, Expression b, int rank, long p, long q, int size) {
    Expression rows = a.transposed().matmul(t.reshaped(rank, (long) rank * size));
    Expression kernelsFirst = rows.reshaped(p, rank, size).transposed(0, 2, 1);
    return kernelsFirst.matmul(b).transposed(0, 2, 1).reshaped(p, q * size);
  }
}
