package io.peft4j.compress.compare;

import io.peft4j.task.Metrics;
import java.util.Arrays;
import java.util.Random;

/**
 * How sure a quality is that was seen on so many rows, and whether two differ by more than luck.
 */
final class Confidence {
  private static final double Z = 1.959963984540054; // the normal distribution's 97.5 % point
  private static final int RESAMPLES = 1000;
  private static final int SEED = 42;

  private Confidence() {}

  /**
   * The interval of a share by Wilson's score (1927), which stays within 0 and 1 and is right for
   * few rows too.
   */
  static Interval wilson(int hits, int rows) {
    double share = hits / (double) rows;
    double scale = 1 + Z * Z / rows;
    double middle = (share + Z * Z / (2 * rows)) / scale;
    double half = Z * Math.sqrt(share * (1 - share) / rows + Z * Z / (4.0 * rows * rows)) / scale;
    // At the ends one limit is exact, whatever the root is rounded to.
    return new Interval(hits == 0 ? 0 : middle - half, hits == rows ? 1 : middle + half);
  }

  /** The interval of macro F1: percentiles over rows that are drawn again with replacement. */
  static Interval macroF1(long[] predictions, long[] labels, int classes) {
    Random random = new Random(SEED);
    int rows = labels.length;
    double[] values = new double[RESAMPLES];
    long[] drawnPredictions = new long[rows];
    long[] drawnLabels = new long[rows];
    for (int sample = 0; sample < RESAMPLES; sample++) {
      for (int i = 0; i < rows; i++) {
        int row = random.nextInt(rows);
        drawnPredictions[i] = predictions[row];
        drawnLabels[i] = labels[row];
      }
      values[sample] = Metrics.of(drawnPredictions, drawnLabels, classes).macroF1();
    }
    return new Interval(quantile(values, 0.025), quantile(values, 0.975));
  }

  /**
   * McNemar's exact test (1947) of two classifiers on the same rows: the probability of a split as
   * uneven as this or more where each row on which only one is right is a fair coin.
   *
   * @param lost rows that only the first has right
   * @param won rows that only the second has right
   * @return two-sided p
   */
  static double mcNemar(int lost, int won) {
    int n = lost + won;
    double logFactorial = 0; // of n
    double[] logs = new double[n + 1];
    for (int i = 1; i <= n; i++) {
      logFactorial += Math.log(i);
      logs[i] = logFactorial;
    }
    double tail = 0;
    for (int i = 0; i <= Math.min(lost, won); i++) {
      tail += Math.exp(logs[n] - logs[i] - logs[n - i] - n * Math.log(2));
    }
    return Math.min(1, 2 * tail);
  }

  /** The smallest value that a share of the values does not exceed. */
  static double quantile(double[] values, double share) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int rank = (int) Math.ceil(share * sorted.length);
    return sorted[Math.max(0, rank - 1)];
  }
}
