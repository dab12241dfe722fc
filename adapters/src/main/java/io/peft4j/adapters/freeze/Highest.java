package io.peft4j.adapters.freeze;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** Finds the highest of many scores. */
final class Highest {
  private Highest() {}

  /**
   * @param scores arrays of numbers that are not negative
   * @param count how many are looked for in all; those of equal scores count in their order, and a
   *     score of 0 is never among them
   * @return the indices of the highest in each array, rising
   */
  static List<int[]> of(List<float[]> scores, long count) {
    float[] all = new float[scores.stream().mapToInt(score -> score.length).sum()];
    int next = 0;
    for (float[] score : scores) {
      System.arraycopy(score, 0, all, next, score.length);
      next += score.length;
    }
    Arrays.parallelSort(all);
    float least = all[(int) Math.max(0, all.length - count)];
    int above = all.length - firstAbove(all, least);
    int[] equalsLeft = {(int) Math.min(count, all.length) - above};
    List<int[]> highest = new ArrayList<>();
    for (float[] score : scores) {
      highest.add(
          IntStream.range(0, score.length)
              .filter(
                  i -> score[i] > least || (score[i] == least && least > 0 && equalsLeft[0]-- > 0))
              .toArray());
    }
    return highest;
  }

  /** The index of the first of sorted numbers that is above a limit. */
  private static int firstAbove(float[] sorted, float limit) {
    int low = 0;
    int high = sorted.length;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (sorted[middle] > limit) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
}
