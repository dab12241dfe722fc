package io.peft4j.compress.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.PeftException;
import io.peft4j.graph.Graph;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class SensitivityTest {
  private static final Graph MODEL = SmallModel.uneven();
  private static final Quantization WAY = DynamicInt8.standard();

  @Test
  void theLayersWithTheUnevenInputCostMost() {
    try (Yardstick yardstick = new Yardstick(MODEL, SmallModel.rows())) {
      List<String> seen = new ArrayList<>();
      List<Sensitivity> alone =
          Sensitivity.of(WAY, MODEL, yardstick, Sensitivity.Probe.ALONE, seen::add);
      assertThat(seen).containsExactly("embed", "up", "gate", "down", "head");
      assertThat(alone.subList(0, 3)).extracting(Sensitivity::layer).contains("up", "gate");
      assertThat(alone)
          .isSortedAccordingTo(
              (a, b) ->
                  Double.compare(b.comparison().relativeError(), a.comparison().relativeError()));
      List<Sensitivity> others =
          Sensitivity.of(WAY, MODEL, yardstick, Sensitivity.Probe.ALL_BUT, layer -> {});
      double all = yardstick.compare(WAY.apply(MODEL).graph()).relativeError();
      assertThat(others.get(0).comparison().relativeError()).isLessThan(all);
    }
  }

  @Test
  void layersAreLeftOutUntilTheLossFits() {
    try (Yardstick yardstick = new Yardstick(MODEL, SmallModel.rows())) {
      double before = yardstick.compare(WAY.apply(MODEL).graph()).loss();
      assertThat(before).isPositive(); // else nothing is searched
      AutomaticExclusion.Result result =
          new AutomaticExclusion(before / 2).search(WAY, MODEL, yardstick, yardstick, line -> {});
      assertThat(result.excluded()).isNotEmpty();
      assertThat(result.comparison().loss()).isLessThanOrEqualTo(before / 2);
      assertThat(result.model().quantized()).doesNotContainAnyElementsOf(result.excluded());
      assertThat(yardstick.compare(result.model().graph())).isEqualTo(result.comparison());
    }
  }

  @Test
  void aNegativeLossIsRefused() {
    assertThatThrownBy(() -> new AutomaticExclusion(-1)).isInstanceOf(PeftException.class);
  }
}
