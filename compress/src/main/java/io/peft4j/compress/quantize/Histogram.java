package io.peft4j.compress.quantize;

import java.util.Arrays;

/**
 * How often numbers of a value occur.
 *
 * @param low the smallest
 * @param high the largest
 * @param counts of equal parts from low to high
 */
record Histogram(double low, double high, long[] counts) {
  private static final int LEVELS = 128;
  private static final int SHRINKS = 24;

  /** So many numbers are taken to be where none is, so that no divergence is infinite. */
  private static final double RARE = 1e-4;

  private double width() {
    return (high - low) / counts.length;
  }

  private double centre(int bin) {
    return low + (bin + 0.5) * width();
  }

  /** The range without (100 − percentile) / 2 percent of the numbers at each end. */
  ActivationRange percentile(double percentile) {
    double outside = Arrays.stream(counts).sum() * (100 - percentile) / 200;
    int first = 0;
    for (double sum = counts[0];
        sum <= outside && first < counts.length - 1;
        sum += counts[first]) {
      first++;
    }
    int last = counts.length - 1;
    for (double sum = counts[last]; sum <= outside && last > first; sum += counts[last]) {
      last--;
    }
    return ActivationRange.of(low + first * width(), low + (last + 1) * width());
  }

  /** The range, both ends shrunk independently, with the least mean square error. */
  ActivationRange leastSquares() {
    ActivationRange best = ActivationRange.of(low, high);
    double least = squares(best);
    for (int i = 0; i < SHRINKS; i++) {
      for (int j = 0; j < SHRINKS; j++) {
        ActivationRange range =
            ActivationRange.of(low * (1 - i / (double) SHRINKS), high * (1 - j / (double) SHRINKS));
        double error = squares(range);
        if (error < least) {
          least = error;
          best = range;
        }
      }
    }
    return best;
  }

  private double squares(ActivationRange range) {
    double sum = 0;
    for (int bin = 0; bin < counts.length; bin++) {
      if (counts[bin] > 0) {
        double difference = centre(bin) - range.rounded(centre(bin));
        sum += counts[bin] * difference * difference;
      }
    }
    return sum;
  }

  /**
   * Cuts off beyond the magnitude at which the Kullback-Leibler divergence of the distribution of
   * magnitudes from its rounding to 128 levels is least (Migacz, 8-bit inference with TensorRT,
   * 2017).
   */
  ActivationRange leastDivergence() {
    double largest = Math.max(Math.abs(low), Math.abs(high));
    int bins = counts.length;
    double[] magnitudes = new double[bins];
    for (int bin = 0; bin < bins; bin++) {
      int place = (int) Math.min(bins - 1, Math.abs(centre(bin)) / largest * bins);
      magnitudes[place] += counts[bin];
    }
    int best = bins;
    double least = Double.POSITIVE_INFINITY;
    for (int end = LEVELS; end <= bins; end += LEVELS / 8) {
      double divergence = divergence(magnitudes, end);
      if (divergence < least) {
        least = divergence;
        best = end;
      }
    }
    double limit = largest * best / bins;
    return ActivationRange.of(Math.max(low, -limit), Math.min(high, limit));
  }

  private static double divergence(double[] magnitudes, int end) {
    double[] kept = Arrays.copyOf(magnitudes, end);
    double inside = Arrays.stream(kept).sum();
    double all = Arrays.stream(magnitudes).sum();
    double[] cut = kept.clone();
    cut[end - 1] += all - inside;
    double sum = 0;
    for (int level = 0; level < LEVELS; level++) {
      int from = level * end / LEVELS;
      int to = (level + 1) * end / LEVELS;
      double mass = 0;
      int filled = 0;
      for (int i = from; i < to; i++) {
        mass += kept[i];
        filled += kept[i] > 0 ? 1 : 0;
      }
      for (int i = from; i < to; i++) {
        double p = cut[i] / all;
        double q = kept[i] > 0 ? mass / filled / inside : RARE / all;
        if (p > 0) {
          sum += p * Math.log(p / q);
        }
      }
    }
    return sum;
  }
}
