package io.peft4j.adapters.bottleneck;

import io.peft4j.graph.Tensor;
import java.util.SplittableRandom;

/** How the weights of a bottleneck start; biases start at zero. */
public enum Start {
  /** Normal, standard deviation 0.02. */
  BERT,
  /** Down uniform in ±1/√in, up zero: nothing changes at first. */
  MAM_ADAPTER,
  /** Normal, standard deviation 0.01, cut at two of them. */
  HOULSBY;

  private static final double BERT_DEVIATION = 0.02;
  private static final double HOULSBY_DEVIATION = 0.01;

  /** The start of a weight [out, in] that leads down. */
  Tensor down(SplittableRandom random, int out, int in) {
    return switch (this) {
      case BERT -> normal(random, BERT_DEVIATION, out, in);
      case MAM_ADAPTER -> uniform(random, 1 / Math.sqrt(in), out, in);
      case HOULSBY -> truncated(random, out, in);
    };
  }

  /** The start of a weight [out, in] that leads up again. */
  Tensor up(SplittableRandom random, int out, int in) {
    return this == MAM_ADAPTER
        ? Tensor.ofFloats(new long[] {out, in}, new float[out * in])
        : down(random, out, in);
  }

  static Tensor normal(SplittableRandom random, double deviation, long... shape) {
    float[] values = new float[Math.toIntExact(Tensor.elements(shape))];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (deviation * random.nextGaussian());
    }
    return Tensor.ofFloats(shape, values);
  }

  static Tensor uniform(SplittableRandom random, double bound, long... shape) {
    float[] values = new float[Math.toIntExact(Tensor.elements(shape))];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextDouble(-bound, bound);
    }
    return Tensor.ofFloats(shape, values);
  }

  private static Tensor truncated(SplittableRandom random, int out, int in) {
    float[] values = new float[out * in];
    for (int i = 0; i < values.length; i++) {
      double drawn = random.nextGaussian();
      while (Math.abs(drawn) > 2) {
        drawn = random.nextGaussian();
      }
      values[i] = (float) (HOULSBY_DEVIATION * drawn);
    }
    return Tensor.ofFloats(new long[] {out, in}, values);
  }
}
