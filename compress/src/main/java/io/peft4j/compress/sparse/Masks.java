package io.peft4j.compress.sparse;

import io.peft4j.PeftException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Chooses which weights stay: the least important go, of equal ones those that stand first. Scores
 * and masks lie row by row as a weight [out, in].
 */
final class Masks {
  private Masks() {}

  /** For each layer which weights stay. */
  static List<boolean[]> of(List<float[]> scores, List<SparseLayer> layers, Pattern pattern) {
    if (pattern instanceof Pattern.Share share && share.scope() == Pattern.Scope.MODEL) {
      return acrossModel(scores, share);
    }
    List<boolean[]> masks = new ArrayList<>();
    for (int i = 0; i < scores.size(); i++) {
      masks.add(of(scores.get(i), layers.get(i), pattern));
    }
    return masks;
  }

  /** Which weights of one layer stay. */
  static boolean[] of(float[] scores, SparseLayer layer, Pattern pattern) {
    boolean[] keep = new boolean[scores.length];
    Arrays.fill(keep, true);
    if (pattern instanceof Pattern.NofM groups) {
      layer.requireGroupsOf(groups.group());
      int drop = groups.group() - groups.kept();
      for (int from = 0; from < scores.length; from += groups.group()) {
        dropLeast(scores, keep, from, from + groups.group(), drop);
      }
      return keep;
    }
    Pattern.Share share = (Pattern.Share) pattern;
    int width = share.scope() == Pattern.Scope.ROW ? layer.in() : scores.length;
    for (int from = 0; from < scores.length; from += width) {
      dropLeast(scores, keep, from, from + width, (int) share.count(width));
    }
    return keep;
  }

  private static List<boolean[]> acrossModel(List<float[]> scores, Pattern.Share share) {
    long size = scores.stream().mapToLong(s -> s.length).sum();
    if (size > Integer.MAX_VALUE - 8) {
      throw new PeftException(
          "%d weights are too many to compare with each other; compare within layers or rows"
              .formatted(size));
    }
    float[] all = new float[(int) size];
    int position = 0;
    for (float[] part : scores) {
      System.arraycopy(part, 0, all, position, part.length);
      position += part.length;
    }
    boolean[] keep = new boolean[all.length];
    Arrays.fill(keep, true);
    dropLeast(all, keep, 0, all.length, (int) share.count(size));
    List<boolean[]> masks = new ArrayList<>();
    position = 0;
    for (float[] part : scores) {
      masks.add(Arrays.copyOfRange(keep, position, position + part.length));
      position += part.length;
    }
    return masks;
  }

  /** Lets the least of a range go. */
  static void dropLeast(float[] scores, boolean[] keep, int from, int to, int count) {
    if (count == 0) {
      return;
    }
    float[] sorted = Arrays.copyOfRange(scores, from, to);
    Arrays.sort(sorted);
    float limit = sorted[count - 1];
    int below = 0;
    while (below < count && sorted[below] < limit) {
      below++;
    }
    int equal = count - below;
    for (int i = from; i < to; i++) {
      if (scores[i] < limit || (scores[i] == limit && equal-- > 0)) {
        keep[i] = false;
      }
    }
  }
}
