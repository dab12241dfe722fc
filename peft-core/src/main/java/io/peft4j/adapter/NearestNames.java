package io.peft4j.adapter;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;

/** Finds the names that somebody who mistyped may have meant. */
public final class NearestNames {
  private static final int SHOWN = 3;

  private NearestNames() {}

  /** The nearest of the known names, best first, as {@code 'a', 'b', 'c'}. */
  public static String of(String wrong, Collection<String> known) {
    List<String> nearest =
        known.stream()
            .distinct()
            .sorted(
                Comparator.comparingInt((String name) -> distance(wrong, name))
                    .thenComparing(Comparator.naturalOrder()))
            .limit(SHOWN)
            .map(name -> "'" + name + "'")
            .toList();
    return String.join(", ", nearest);
  }

  /** Levenshtein distance. */
  static int distance(String a, String b) {
    int[] previous = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      previous[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int[] row = new int[b.length() + 1];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int swap = previous[j - 1] + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        row[j] = Math.min(swap, Math.min(previous[j], row[j - 1]) + 1);
      }
      previous = row;
    }
    return previous[b.length()];
  }
}
