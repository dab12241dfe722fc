package io.peft4j.compress.compare;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class ComparisonTextTest {
  private static ComparisonRow row(
      String name, double accuracy, double ms, long bytes, boolean first) {
    Interval around = new Interval(accuracy - 0.05, accuracy + 0.05);
    return new ComparisonRow(
        name,
        name,
        null,
        accuracy,
        around,
        accuracy,
        around,
        1,
        0,
        0,
        first ? null : 0.5,
        1000,
        bytes,
        ms,
        2 * ms,
        20 * ms,
        30 * ms,
        1600 / ms,
        1_000_000L,
        500_000L,
        false);
  }

  private static final ComparisonRow LARGE = row("large", 0.9, 10, 9_000_000, true);
  private static final ComparisonRow SMALL = row("small", 0.85, 1, 900_000, false);
  private static final ComparisonRow POOR = row("poor<i>", 0.8, 2, 900_000, false);

  @Test
  void oneThatIsNowhereBetterIsBeaten() {
    assertThat(SMALL.dominates(POOR)).isTrue();
    assertThat(POOR.dominates(SMALL)).isFalse();
    assertThat(SMALL.dominates(LARGE)).isFalse();
    assertThat(SMALL.dominates(SMALL)).isFalse();
  }

  @Test
  void theTableShowsEveryModelInItsColumns() {
    String text = result().text();
    assertThat(text.lines().skip(1).limit(3))
        .satisfiesExactly(
            line -> assertThat(line).contains("large", "90.00 % (85.0-95.0)", "10.00 / 20.00", "*"),
            line -> assertThat(line).contains("small", "0.90", "1,600", "0.500"),
            line -> assertThat(line).contains("poor<i>", "800").doesNotContain("*"));
  }

  @Test
  void thePageNeedsNoOtherFileAndNamesAreText() {
    String page = result().html();
    assertThat(page).doesNotContain("src=", "<link", "@import", "url(", "poor<i>");
    assertThat(page).contains("poor&lt;i&gt;", "<svg", "<polyline");
    assertThat(page.replace("http://www.w3.org/2000/svg", "")).doesNotContain("http");
  }

  @Test
  void thePlotMarksThoseThatNoOtherBeats() {
    ParetoPlot plot =
        new ParetoPlot("ms", List.of(LARGE, SMALL, POOR), ComparisonRow::latencyMsP50Batch1);
    assertThat(plot.front(LARGE)).isTrue();
    assertThat(plot.front(SMALL)).isTrue();
    assertThat(plot.front(POOR)).isFalse();
  }

  private static ComparisonResult result() {
    return new ComparisonResult(
        "rows.tsv",
        "abc",
        100,
        8,
        128,
        0,
        "a machine",
        List.of(LARGE.withPareto(true), SMALL.withPareto(true), POOR));
  }
}
