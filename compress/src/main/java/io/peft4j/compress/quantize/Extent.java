package io.peft4j.compress.quantize;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** What a value spans, overall and along its last axis, and some of its rows. */
final class Extent {
  private static final int SAMPLE = 64;

  private final float[] lows;
  private final float[] highs;
  private final List<float[]> sample = new ArrayList<>();
  private final Random random = new Random(8);
  private int seen;

  /**
   * @param width the size of the last axis
   */
  Extent(int width) {
    lows = new float[width];
    highs = new float[width];
    Arrays.fill(lows, Float.POSITIVE_INFINITY);
    Arrays.fill(highs, Float.NEGATIVE_INFINITY);
  }

  /** Takes a row of numbers, a part of an array. */
  void take(float[] numbers, int from) {
    for (int j = 0; j < lows.length; j++) {
      lows[j] = Math.min(lows[j], numbers[from + j]);
      highs[j] = Math.max(highs[j], numbers[from + j]);
    }
    seen++;
    int place = seen <= SAMPLE ? seen - 1 : random.nextInt(seen);
    if (place < SAMPLE) {
      float[] row = Arrays.copyOfRange(numbers, from, from + lows.length);
      if (place < sample.size()) {
        sample.set(place, row);
      } else {
        sample.add(row);
      }
    }
  }

  boolean isFinite() {
    return Float.isFinite(low()) && Float.isFinite(high());
  }

  /** The smallest number; NaN if one is none. */
  float low() {
    float low = Float.POSITIVE_INFINITY;
    for (float number : lows) {
      low = Math.min(low, number);
    }
    return low;
  }

  /** The largest number; NaN if one is none. */
  float high() {
    float high = Float.NEGATIVE_INFINITY;
    for (float number : highs) {
      high = Math.max(high, number);
    }
    return high;
  }

  /** The smallest number of each channel. */
  float[] lows() {
    return lows;
  }

  /** The largest number of each channel. */
  float[] highs() {
    return highs;
  }

  /** The largest magnitude of each channel. */
  float[] largest() {
    float[] largest = new float[lows.length];
    for (int j = 0; j < largest.length; j++) {
      largest[j] = Math.max(-lows[j], highs[j]);
    }
    return largest;
  }

  /** Rows drawn evenly from all that were taken; the same each time. */
  List<float[]> sample() {
    return sample;
  }
}
