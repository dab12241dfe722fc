package io.peft4j.compress.sparse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.RecipeException;
import org.junit.jupiter.api.Test;

class CubicScheduleTest {
  @Test
  void sparsityGrowsAsACubeFromStartToEnd() {
    CubicSchedule schedule = new CubicSchedule(0.2, 0.6);
    assertThat(schedule.at(0, 0.8)).isZero();
    assertThat(schedule.at(0.2, 0.8)).isZero();
    assertThat(schedule.at(0.3, 0.8)).isCloseTo(0.8 * (1 - 27 / 64.0), within(1e-12));
    assertThat(schedule.at(0.4, 0.8)).isCloseTo(0.8 * 7 / 8, within(1e-12));
    assertThat(schedule.at(0.6, 0.8)).isEqualTo(0.8);
    assertThat(schedule.at(1, 0.8)).isEqualTo(0.8);
  }

  @Test
  void aScheduleThatDoesNotEndAfterItStartsIsRefused() {
    assertThatThrownBy(() -> new CubicSchedule(0.5, 0.5)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> new CubicSchedule(0, 1.1)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> new CubicSchedule(Double.NaN, 1)).isInstanceOf(RecipeException.class);
  }
}
