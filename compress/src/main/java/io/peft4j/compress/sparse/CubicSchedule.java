package io.peft4j.compress.sparse;

import io.peft4j.RecipeException;

/**
 * How sparsity grows: fast at first, while there is much to spare, and slowly towards the end (Zhu
 * and Gupta 2017, arXiv 1710.01878, formula 1, from a dense model): target · (1 − (1 − x)³), x
 * going from 0 to 1 between start and end.
 *
 * @param start the share of the steps before which nothing goes
 * @param end the share of the steps after which the target is kept, so that the rest recovers
 */
public record CubicSchedule(double start, double end) {
  public CubicSchedule {
    if (!(start >= 0 && start < end && end <= 1)) {
      throw new RecipeException(
          "a schedule of sparsity starts and then ends between 0 and 1, was %s to %s"
              .formatted(start, end));
    }
  }

  /** From a tenth of the training to seven tenths. */
  public static CubicSchedule standard() {
    return new CubicSchedule(0.1, 0.7);
  }

  /**
   * The sparsity at a point.
   *
   * @param progress the share of the steps that are done
   */
  public double at(double progress, double target) {
    double x = Math.min(1, Math.max(0, (progress - start) / (end - start)));
    return target * (1 - Math.pow(1 - x, 3));
  }
}
