package io.peft4j.math;

import static com.google.common.base.Preconditions.checkArgument;

import io.peft4j.graph.Tensor;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * Groups rows by Lloyd's iteration as scikit-learn's {@code KMeans(init="random", n_init=1)} does
 * with float32 numbers, for adapters whose files rely on it.
 */
public final class KMeans {
  /** Share of the mean variance of a column below which a move of the centres counts as none. */
  private static final double TOLERANCE = 1e-4;

  private final float[][] rows;
  private final int[] labels;
  private float[][] centres;

  private KMeans(float[][] rows, float[][] centres) {
    this.rows = rows;
    this.centres = centres;
    labels = new int[rows.length];
  }

  /**
   * The group of each row, from 0 to below the number of groups.
   *
   * @param points float32 [rows, columns]
   * @param groups at most as many as rows
   */
  public static int[] labels(Tensor points, int groups, int iterations, int seed) {
    int count = Math.toIntExact(points.dim(0));
    checkArgument(groups >= 1 && groups <= count, "%s groups of %s", groups, points);
    float[] values = points.toFloats();
    int width = values.length / count;
    float[][] rows = new float[count][];
    for (int i = 0; i < count; i++) {
      rows[i] = Arrays.copyOfRange(values, i * width, (i + 1) * width);
    }
    double tolerance = TOLERANCE * centred(rows);
    float[][] starts = new float[groups][];
    int[] chosen = choice(new TorchGenerator(seed), count, groups);
    for (int i = 0; i < groups; i++) {
      starts[i] = rows[chosen[i]].clone();
    }
    return new KMeans(rows, starts).run(iterations, tolerance);
  }

  /** Takes the mean row away from each; returns the mean variance of the columns. */
  private static double centred(float[][] rows) {
    int width = rows[0].length;
    double variances = 0;
    for (int j = 0; j < width; j++) {
      float sum = 0;
      for (float[] row : rows) {
        sum += row[j];
      }
      float mean = sum / rows.length;
      float squares = 0;
      for (float[] row : rows) {
        row[j] -= mean;
        squares += row[j] * row[j];
      }
      variances += squares / rows.length;
    }
    return variances / width;
  }

  /**
   * Different numbers below the size, as {@code RandomState(seed).choice(size, count,
   * replace=False, p=...)} of numpy draws them with equal probabilities: as many as are missing at
   * once, until no two are the same. Its mt19937 is torch's.
   */
  static int[] choice(TorchGenerator generator, int size, int count) {
    double[] shares = new double[size];
    Arrays.fill(shares, 1.0f / size);
    int[] chosen = new int[count];
    int done = 0;
    while (done < count) {
      double[] sums = new double[size];
      double sum = 0;
      for (int i = 0; i < size; i++) {
        sum += shares[i];
        sums[i] = sum;
      }
      double[] draws = new double[count - done];
      for (int i = 0; i < draws.length; i++) {
        draws[i] = ((generator.nextBits() >>> 5) * 0x1p26 + (generator.nextBits() >>> 6)) * 0x1p-53;
      }
      for (double draw : draws) {
        int place = firstAbove(sums, sum, draw);
        if (shares[place] != 0) {
          shares[place] = 0;
          chosen[done++] = place;
        }
      }
    }
    return chosen;
  }

  private static int firstAbove(double[] sums, double total, double draw) {
    int low = 0;
    int high = sums.length;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (sums[middle] / total > draw) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  private int[] run(int iterations, double tolerance) {
    Arrays.fill(labels, -1);
    for (int i = 0; i < iterations; i++) {
      int[] before = labels.clone();
      assign();
      double moved = move();
      if (Arrays.equals(labels, before)) {
        return labels;
      } else if (moved <= tolerance) {
        break;
      }
    }
    assign();
    return labels;
  }

  /** Gives each row the label of its nearest centre, by ‖c‖² − 2 x·c; the first of equals. */
  private void assign() {
    float[] squares = new float[centres.length];
    for (int j = 0; j < squares.length; j++) {
      squares[j] = dot(centres[j], centres[j]);
    }
    for (int i = 0; i < labels.length; i++) {
      float least = Float.POSITIVE_INFINITY;
      for (int j = 0; j < centres.length; j++) {
        float distance = squares[j] - 2 * dot(rows[i], centres[j]);
        if (distance < least) {
          least = distance;
          labels[i] = j;
        }
      }
    }
  }

  /** Moves each centre to the mean of its rows; returns the sum of the squared distances. */
  private double move() {
    float[][] moved = new float[centres.length][rows[0].length];
    float[] counts = new float[centres.length];
    for (int i = 0; i < labels.length; i++) {
      counts[labels[i]]++;
      add(moved[labels[i]], rows[i], 1);
    }
    fillEmpty(moved, counts);
    int largest = 0;
    for (int j = 0; j < moved.length; j++) {
      largest = counts[j] > counts[largest] ? j : largest;
      float share = (float) (1.0 / Math.max(1, counts[j]));
      for (int k = 0; k < moved[j].length; k++) {
        moved[j][k] *= share;
      }
    }
    double shift = 0;
    for (int j = 0; j < moved.length; j++) {
      if (counts[j] == 0) {
        moved[j] = moved[largest].clone();
      }
      shift += squaredDistance(moved[j], centres[j]);
    }
    centres = moved;
    return shift;
  }

  /**
   * Gives each centre without rows the row that is farthest from its own; leaves it where every row
   * is on its centre.
   */
  private void fillEmpty(float[][] sums, float[] counts) {
    int[] empty = IntStream.range(0, counts.length).filter(j -> counts[j] == 0).toArray();
    if (empty.length == 0) {
      return;
    }
    double[] distances = new double[labels.length];
    for (int i = 0; i < distances.length; i++) {
      distances[i] = squaredDistance(rows[i], centres[labels[i]]);
    }
    if (Arrays.stream(distances).max().orElse(0) == 0) {
      return;
    }
    int[] farthest =
        IntStream.range(0, labels.length)
            .boxed()
            .sorted(Comparator.comparingDouble((Integer i) -> distances[i]).reversed())
            .mapToInt(Integer::intValue)
            .limit(empty.length)
            .toArray();
    for (int i = 0; i < empty.length; i++) {
      int old = labels[farthest[i]];
      add(sums[old], rows[farthest[i]], -1);
      add(sums[empty[i]], rows[farthest[i]], 1);
      counts[empty[i]] = 1;
      counts[old]--;
    }
  }

  private static void add(float[] sums, float[] row, int sign) {
    for (int k = 0; k < row.length; k++) {
      sums[k] += sign * row[k];
    }
  }

  private static float dot(float[] a, float[] b) {
    float sum = 0;
    for (int k = 0; k < a.length; k++) {
      sum += a[k] * b[k];
    }
    return sum;
  }

  private static double squaredDistance(float[] a, float[] b) {
    double sum = 0;
    for (int k = 0; k < a.length; k++) {
      double gap = a[k] - b[k];
      sum += gap * gap;
    }
    return sum;
  }
}
