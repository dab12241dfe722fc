package io.peft4j.train;

/**
 * How the learning rate changes over the steps, as {@code transformers.get_scheduler} defines it.
 */
public enum Schedule {
  CONSTANT,
  LINEAR,
  COSINE;

  /**
   * The factor on the learning rate.
   *
   * @param step from 0
   * @param warmup steps over which the factor rises from 0 to 1
   * @param total steps in all
   */
  public double factor(int step, int warmup, int total) {
    if (step < warmup) {
      return (double) step / Math.max(1, warmup);
    }
    double rest = Math.max(1, total - warmup);
    return switch (this) {
      case CONSTANT -> 1;
      case LINEAR -> Math.max(0, (total - step) / rest);
      case COSINE -> Math.max(0, 0.5 * (1 + Math.cos(Math.PI * (step - warmup) / rest)));
    };
  }
}
