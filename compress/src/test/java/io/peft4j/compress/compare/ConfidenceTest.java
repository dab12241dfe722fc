package io.peft4j.compress.compare;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

class ConfidenceTest {
  /** R: prop.test(8, 10, correct = FALSE)$conf.int, and the closed form at the ends. */
  @Test
  void wilsonsIntervalIsThatOfR() {
    Interval some = Confidence.wilson(8, 10);
    assertThat(some.low()).isCloseTo(0.4901625, within(1e-7));
    assertThat(some.high()).isCloseTo(0.9433178, within(1e-7));
    Interval all = Confidence.wilson(10, 10); // low = n / (n + z²)
    assertThat(all.low()).isCloseTo(10 / (10 + 3.841458820694124), within(1e-12));
    assertThat(all.high()).isEqualTo(1);
    assertThat(Confidence.wilson(0, 10).low()).isZero();
  }

  /** Binomial tails: 2 · (1 + 13 + 78 + 286) / 2^13, and none where nothing is split. */
  @Test
  void mcNemarsTestIsTheExactBinomial() {
    assertThat(Confidence.mcNemar(3, 10)).isCloseTo(756 / 8192.0, within(1e-12));
    assertThat(Confidence.mcNemar(10, 3)).isCloseTo(756 / 8192.0, within(1e-12));
    assertThat(Confidence.mcNemar(5, 5)).isEqualTo(1);
    assertThat(Confidence.mcNemar(0, 0)).isEqualTo(1);
    assertThat(Confidence.mcNemar(0, 2000)).isZero(); // 2^-1999 is below every double
  }

  @Test
  void quantilesAreValuesThatWereSeen() {
    double[] values = new double[20];
    Arrays.setAll(values, i -> 20 - i);
    assertThat(Confidence.quantile(values, 0.5)).isEqualTo(10);
    assertThat(Confidence.quantile(values, 0.95)).isEqualTo(19);
    assertThat(Confidence.quantile(new double[] {7}, 0.95)).isEqualTo(7);
  }

  /** With two classes and all errors alike, macro F1 moves about as accuracy does. */
  @Test
  void theIntervalOfMacroF1HoldsItsValueAndNarrowsWithRows() {
    Interval few = Confidence.macroF1(predictions(40), labels(40), 2);
    Interval many = Confidence.macroF1(predictions(1000), labels(1000), 2);
    assertThat(few.low()).isLessThan(0.9).isGreaterThan(0.7);
    assertThat(few.high()).isGreaterThan(0.9);
    assertThat(many.high() - many.low()).isLessThan((few.high() - few.low()) / 3);
    assertThat(Confidence.macroF1(labels(40), labels(40), 2)).isEqualTo(new Interval(1, 1));
  }

  private static long[] labels(int rows) {
    long[] labels = new long[rows];
    Arrays.setAll(labels, i -> i % 2);
    return labels;
  }

  /** One in ten is wrong, of each class as many. */
  private static long[] predictions(int rows) {
    long[] predictions = labels(rows);
    for (int i = 0; i < rows; i += 20) {
      predictions[i] = 1;
      predictions[i + 1] = 0;
    }
    return predictions;
  }
}
