package io.peft4j.compress.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class HistogramTest {
  /** A bell around 0 from -1 to 1, and a few numbers at 9. */
  private static Histogram bellAndOutlier() {
    long[] counts = new long[2000]; // -1 to 9 in steps of 0.005
    for (int i = 0; i < 400; i++) {
      double x = (i + 0.5) * 0.005 - 1;
      counts[i] = Math.round(1e6 * Math.exp(-8 * x * x));
    }
    counts[1999] = 3;
    return new Histogram(-1, 9, counts);
  }

  @Test
  void aPercentileCutsOffTheOutlierAndHalvesTheRestBetweenTheEnds() {
    ActivationRange range = bellAndOutlier().percentile(99.9);
    // P(|x| > 0.823) = 0.1 % for a normal distribution with deviation 0.25.
    assertThat(range.low()).isCloseTo(-0.82, within(0.01));
    assertThat(range.high()).isCloseTo(0.82, within(0.01));
  }

  @Test
  void allIsHeldAtAHundredPercent() {
    ActivationRange range = bellAndOutlier().percentile(100);
    assertThat(range.low()).isCloseTo(-1, within(1e-9));
    assertThat(range.high()).isCloseTo(9, within(1e-9));
  }

  @Test
  void squaresAndDivergenceCutOffWhatIsRare() {
    for (ActivationRange range :
        new ActivationRange[] {
          bellAndOutlier().leastSquares(), bellAndOutlier().leastDivergence()
        }) {
      assertThat(range.low()).isBetween(-1.01, -0.6);
      assertThat(range.high()).isBetween(0.6, 2.0);
    }
  }

  @Test
  void aRangeHoldsZeroExactly() {
    ActivationRange range = ActivationRange.of(0.5, 3);
    assertThat(range.low()).isZero();
    assertThat(range.zero()).isZero();
    assertThat(ActivationRange.of(-1, 2).rounded(0)).isZero();
    assertThat(ActivationRange.of(0, 0).scale()).isEqualTo(1);
  }
}
