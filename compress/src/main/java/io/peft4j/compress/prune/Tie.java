package io.peft4j.compress.prune;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Two axes of one node's values whose entries stand and fall together.
 *
 * @param from each entry of it belongs to at most one of {@code to}
 * @param to the other axis
 * @param map for each entry of {@code from} the entry of {@code to}, -1 for none; null where the
 *     entries are the same
 */
record Tie(Axis from, Axis to, int @Nullable [] map) {

  /** The entry of {@code to} that an entry of {@code from} belongs to; -1 for none. */
  int target(int entry) {
    return map == null ? entry : map[entry];
  }

  /**
   * All ties of one node.
   *
   * @param absorbed axes of which entries without a tie may be missing, nothing else of the node
   *     changing with them
   */
  record Ties(List<Tie> ties, Set<Axis> absorbed) {
    Ties {
      ties = List.copyOf(ties);
      absorbed = Set.copyOf(absorbed);
    }

    /** Which entries of an axis of this size have no tie. */
    boolean[] untied(Axis axis, int size) {
      boolean[] untied = new boolean[size];
      Arrays.fill(untied, true);
      for (Tie tie : ties) {
        int[] map = tie.map();
        int entries = map == null ? size : map.length;
        for (int i = 0; i < entries; i++) {
          int target = tie.target(i);
          if (tie.from().equals(axis) && target >= 0) {
            untied[i] = false;
          }
          if (tie.to().equals(axis) && target >= 0) {
            untied[target] = false;
          }
        }
      }
      return untied;
    }

    /** The same with one more axis that may lose entries by itself. */
    Ties absorbing(Axis axis) {
      Set<Axis> more = new HashSet<>(absorbed);
      more.add(axis);
      return new Ties(ties, more);
    }
  }
}
