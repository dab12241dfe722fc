package io.peft4j.compress.chain;

import io.peft4j.compress.compare.ComparisonResult;
import java.util.List;
import java.util.Locale;

/** The stages of a chain, written and measured. */
public record CompactResult(ComparisonResult comparison) {

  /** What {@code compare.json} holds. */
  public List<StageRow> rows() {
    return comparison.models().stream().map(StageRow::of).toList();
  }

  /** The table, and which of the bars were reached. */
  public String text() {
    StringBuilder text = new StringBuilder(comparison.text()).append('\n');
    for (Bar bar : Bar.of(comparison.models())) {
      text.append(
          String.format(
              Locale.ROOT,
              "%-12s %-50s %8s  %s%n",
              bar.stage(),
              bar.text(),
              bar.measured(),
              bar.reached() ? "reached" : "NOT reached"));
    }
    return text.toString();
  }
}
