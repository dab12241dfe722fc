package io.peft4j.adapters.lora;

import io.peft4j.graph.Tensor;

/** Sums of a weight and a low-rank product. */
final class LowRank {
  private LowRank() {}

  /**
   * W + s B A in the type of W, computed in float64 and rounded once.
   *
   * @param weight [out, in], or [in, out] if {@code inFirst}
   * @param a [r, in]
   * @param b [out, r]
   */
  static Tensor added(Tensor weight, Tensor a, Tensor b, double scale, boolean inFirst) {
    int rank = (int) a.dim(0);
    int in = (int) a.dim(1);
    int out = (int) b.dim(0);
    double[] sum = weight.toDoubles();
    double[] left = b.toDoubles();
    double[] right = a.toDoubles();
    double[] row = new double[in];
    for (int o = 0; o < out; o++) {
      java.util.Arrays.fill(row, 0);
      for (int r = 0; r < rank; r++) {
        double factor = left[o * rank + r];
        for (int i = 0; i < in; i++) {
          row[i] += factor * right[r * in + i];
        }
      }
      for (int i = 0; i < in; i++) {
        sum[inFirst ? i * out + o : o * in + i] += scale * row[i];
      }
    }
    return Tensor.ofDoubles(weight.shape(), sum).cast(weight.dtype());
  }
}
