package io.peft4j.compress.prune;

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
   * @param absorbed axes of which entries may be missing without anything else of the node changing
   */
  record Ties(List<Tie> ties, Set<Axis> absorbed) {
    Ties {
      ties = List.copyOf(ties);
      absorbed = Set.copyOf(absorbed);
    }

    /** The same with one more axis that may lose entries by itself. */
    Ties absorbing(Axis axis) {
      Set<Axis> more = new HashSet<>(absorbed);
      more.add(axis);
      return new Ties(ties, more);
    }
  }
}
