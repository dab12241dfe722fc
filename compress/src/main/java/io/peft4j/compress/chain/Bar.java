package io.peft4j.compress.chain;

import io.peft4j.compress.compare.ComparisonRow;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Something that a stage should reach, and what it did.
 *
 * @param text what is asked for
 * @param measured what was seen
 */
record Bar(String stage, String text, String measured, boolean reached) {
  private static final double PRUNED_POINTS = 1.0;
  private static final double STUDENT_SHARE = 0.97;
  private static final double STUDENT_LATENCY = 0.5;
  private static final double FEED_FORWARD_SHARE = 0.92;
  private static final double FEED_FORWARD_SPEED = 20;
  private static final double INT8_POINTS = 0.5;
  private static final double INT8_BYTES = 0.35;

  /** The bars of the stages that there are, against the first row. */
  static List<Bar> of(List<ComparisonRow> rows) {
    List<Bar> bars = new ArrayList<>();
    ComparisonRow merged = rows.get(0);
    for (ComparisonRow row : rows) {
      double points = 100 * (merged.accuracy() - row.accuracy());
      double share = row.accuracy() / merged.accuracy();
      switch (row.name()) {
        case "pruned" -> bars.add(most(row, "points of accuracy lost", points, PRUNED_POINTS));
        case "student" -> {
          bars.add(least(row, "of the teacher's accuracy", share, STUDENT_SHARE));
          double time = row.latencyMsP50Batch1() / merged.latencyMsP50Batch1();
          bars.add(most(row, "of the teacher's time for one text", time, STUDENT_LATENCY));
        }
        case "feedforward" -> {
          bars.add(least(row, "of the teacher's accuracy", share, FEED_FORWARD_SHARE));
          double times = row.throughputPerSecond() / merged.throughputPerSecond();
          bars.add(least(row, "times the teacher's texts a second", times, FEED_FORWARD_SPEED));
        }
        case "int8" -> {
          bars.add(most(row, "points of accuracy lost", points, INT8_POINTS));
          double bytes = row.bytes() / (double) merged.bytes();
          bars.add(most(row, "of the bytes", bytes, INT8_BYTES));
        }
        default -> {} // no bar is set for it
      }
    }
    return bars;
  }

  private static Bar most(ComparisonRow row, String what, double value, double limit) {
    return bar(row, what, value, "at most", limit, value <= limit);
  }

  private static Bar least(ComparisonRow row, String what, double value, double limit) {
    return bar(row, what, value, "at least", limit, value >= limit);
  }

  private static Bar bar(
      ComparisonRow row, String what, double value, String side, double limit, boolean reached) {
    return new Bar(
        row.name(),
        String.format(Locale.ROOT, "%s %s %s", side, number(limit), what),
        number(value),
        reached);
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, Math.abs(value) >= 10 ? "%.1f" : "%.3f", value)
        .replaceAll("\\.?0+$", "");
  }
}
