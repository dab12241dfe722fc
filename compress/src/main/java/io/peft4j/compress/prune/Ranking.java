package io.peft4j.compress.prune;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * All units of several blocks in the order in which they go, the least worth first. The best unit
 * of a block never goes.
 *
 * @param order first to go first
 */
record Ranking(List<Unit> order) {
  /**
   * A unit that may go.
   *
   * @param worth its score for what it costs
   */
  record Unit(Block block, int number, double worth) {}

  /**
   * Ranks units across blocks. Scores that are changes of the loss are comparable, and are taken
   * for what the unit costs; others are taken relative to the mean of their block.
   *
   * @param cost what one unit of a block costs
   */
  static Ranking of(Map<Block, double[]> scores, boolean comparable, ToDoubleFunction<Block> cost) {
    List<Unit> units = new ArrayList<>();
    scores.forEach(
        (block, values) -> {
          double mean = Arrays.stream(values).average().orElse(0);
          double scale = comparable ? cost.applyAsDouble(block) : mean == 0 ? 1 : mean;
          IntStream.range(0, values.length)
              .mapToObj(i -> new Unit(block, i, values[i] / scale))
              .sorted(Comparator.comparingDouble(Unit::worth))
              .limit(values.length - 1L)
              .forEach(units::add);
        });
    units.sort(Comparator.comparingDouble(Unit::worth));
    return new Ranking(List.copyOf(units));
  }

  int size() {
    return order.size();
  }

  /** The first units of the order. */
  Removal first(int count) {
    Map<Block, BitSet> units = new LinkedHashMap<>();
    for (Unit unit : order.subList(0, count)) {
      units.computeIfAbsent(unit.block(), b -> new BitSet()).set(unit.number());
    }
    return new Removal(units);
  }
}
