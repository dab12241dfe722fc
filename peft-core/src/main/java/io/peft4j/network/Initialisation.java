package io.peft4j.network;

import io.peft4j.graph.Tensor;
import java.util.random.RandomGenerator;

/**
 * How the weights of a linear layer start. Xavier (Glorot and Bengio 2010, "Understanding the
 * difficulty of training deep feedforward neural networks", formula 16) has the variance 2 / (in +
 * out) and suits tanh and sigmoid; He (He et al. 2015, arXiv 1502.01852, formula 10) has 2 / in and
 * suits ReLU. A uniform distribution of variance v reaches to ±√(3 v).
 */
public enum Initialisation {
  /** Uniform in ±√(6 / (in + out)). */
  XAVIER_UNIFORM(true, true),
  /** Normal with standard deviation √(2 / (in + out)). */
  XAVIER_NORMAL(true, false),
  /** Uniform in ±√(6 / in). */
  HE_UNIFORM(false, true),
  /** Normal with standard deviation √(2 / in). */
  HE_NORMAL(false, false);

  private final boolean countsOutputs;
  private final boolean uniform;

  Initialisation(boolean countsOutputs, boolean uniform) {
    this.countsOutputs = countsOutputs;
    this.uniform = uniform;
  }

  /** The variance of a weight between layers of these sizes. */
  public double variance(int in, int out) {
    return 2.0 / (countsOutputs ? in + out : in);
  }

  /** Draws a weight matrix [out, in]. */
  public Tensor draw(RandomGenerator random, int in, int out) {
    double deviation = Math.sqrt(variance(in, out));
    double bound = Math.sqrt(3) * deviation;
    float[] values = new float[Math.multiplyExact(in, out)];
    for (int i = 0; i < values.length; i++) {
      values[i] =
          (float) (uniform ? random.nextDouble(-bound, bound) : random.nextGaussian(0, deviation));
    }
    return Tensor.ofFloats(new long[] {out, in}, values);
  }
}
