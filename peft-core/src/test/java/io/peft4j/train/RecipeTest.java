package io.peft4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.RecipeException;
import io.peft4j.task.Pooling;
import org.junit.jupiter.api.Test;

class RecipeTest {
  @Test
  void theLastWarmUpThatIsGivenCounts() {
    assertThat(Recipe.builder().optWarmupRatio(0.25).build().warmup(10)).isEqualTo(3);
    assertThat(Recipe.builder().optWarmupSteps(4).build().warmup(10)).isEqualTo(4);
    assertThat(Recipe.builder().optWarmupSteps(0).build().warmup(10)).isZero();
    assertThat(Recipe.builder().optWarmupSteps(4).optWarmupRatio(0.5).build().warmup(10))
        .isEqualTo(5);
  }

  @Test
  void twoWarmUpsAreRefused() {
    assertThatThrownBy(
            () ->
                new Recipe(1, 1, 1, 0, Schedule.LINEAR, 0.1, 5, 0, 0, true, 1, Pooling.MEAN, 0, 0))
        .isInstanceOf(RecipeException.class)
        .hasMessage("warmupRatio is 0.1 and warmupSteps 5; give one of them only");
  }

  @Test
  void valuesOutOfRangeAreRefusedByField() {
    assertThatThrownBy(() -> Recipe.builder().optWarmupSteps(-1).build())
        .hasMessage("warmupSteps must be at least 0, was -1");
    assertThatThrownBy(() -> Recipe.builder().optLearningRate(Double.NaN).build())
        .hasMessage("learningRate must be a positive number, was NaN");
    assertThatThrownBy(() -> Recipe.builder().optHeadDropout(1).build())
        .hasMessage("headDropout must be from 0 to below 1, was 1.0");
  }
}
