package io.peft4j.adapters.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.PeftException;
import java.util.List;
import org.junit.jupiter.api.Test;

class GradientRanksTest {
  @Test
  void theSteepestDirectionsForTheirCostGetTheRanks() {
    // Beyond one rank each, a budget of 2 · 10 + 2 · 40 parameters. Gains for a parameter, second
    // direction on: narrow 8.1, 6.4, 4.9, 3.6, 2.5; wide 3.6, 0.4, 0.1, …
    var narrow = new GradientRanks.Layer("narrow", 3, 10, new double[] {10, 9, 8, 7, 6, 5});
    var wide = new GradientRanks.Layer("wide", 3, 40, new double[] {20, 12, 4, 2, 1, 1});
    // narrow takes 9² / 10, 8² / 10, 7² / 10; then 6² / 10 = 12² / 40 in the order of the layers;
    // 5² / 10; then 10 parameters are left, too few for wide.
    assertThat(GradientRanks.of(List.of(narrow, wide)))
        .containsEntry("narrow", 6)
        .containsEntry("wide", 2);
  }

  @Test
  void aLayerHasNoMoreThanTwiceItsRankNorMoreThanItsGradient() {
    var steep = new GradientRanks.Layer("steep", 2, 10, new double[] {9, 9, 9, 9, 9, 9});
    var small = new GradientRanks.Layer("small", 2, 10, new double[] {9, 8});
    var flat = new GradientRanks.Layer("flat", 8, 10, new double[] {1e-3, 0, 0});
    assertThat(GradientRanks.of(List.of(steep, small, flat)))
        .containsEntry("steep", 4)
        .containsEntry("small", 2)
        .containsEntry("flat", 3);
  }

  @Test
  void withoutAnyGradientThereIsNothingToGoBy() {
    var layer = new GradientRanks.Layer("dense", 2, 10, new double[] {0, 0});
    assertThatThrownBy(() -> GradientRanks.of(List.of(layer)))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("no gradient");
  }
}
