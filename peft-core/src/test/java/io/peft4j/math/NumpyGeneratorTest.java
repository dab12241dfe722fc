package io.peft4j.math;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Against numpy 2 with {@code default_rng(42)}. */
class NumpyGeneratorTest {
  @Test
  void shufflesAsNumpyDoes() {
    int[] values = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    new NumpyGenerator(42).shuffle(values);
    assertThat(values).containsExactly(5, 6, 0, 7, 3, 2, 4, 9, 1, 8);
  }

  @Test
  void choosesAsNumpyDoes() {
    assertThat(new NumpyGenerator(42).choice(20, 5)).containsExactly(13, 8, 11, 1, 19);
  }
}
