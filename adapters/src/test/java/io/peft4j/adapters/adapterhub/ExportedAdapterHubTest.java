package io.peft4j.adapters.adapterhub;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.adapters.ExportedBase;
import io.peft4j.adapters.MethodCase;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every adapter that AdapterHub trained on a checkpoint, on ONNX exports of that checkpoint. */
class ExportedAdapterHubTest {
  private static final Map<String, PretrainedModel> OPEN = new HashMap<>();

  /** Its file brings a head, which stands on hidden states. */
  private static final String OWN_HEAD = "seq_bn-head";

  static Stream<Arguments> cases() {
    return Stream.of("bert-opset14", "bert-opset17", "bert-nofold", "bert-dynamo", "bert-external")
        .flatMap(export -> withoutOwnHead().map(name -> Arguments.of(export, name)));
  }

  private static Stream<String> withoutOwnHead() {
    return GoldenAdapterHubTest.cases().filter(name -> !name.equals(OWN_HEAD));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void logitsLossAndGradientsAreThoseOfTheLibrary(String export, String name) {
    HubCase golden = HubCase.of(name);
    AdaptedModel adapted =
        golden.on(OPEN.computeIfAbsent(export, any -> ExportedBase.of(export, MethodCase.bert())));
    golden.assertLogits(adapted, "logits");
    golden.assertGradients(adapted);
  }

  @Test
  void anAdapterWithItsOwnHeadNeedsHiddenStatesWhichAnExportOfLogitsLacks() {
    PretrainedModel base = ExportedBase.of("bert-opset17", MethodCase.bert());
    assertThatThrownBy(() -> HubCase.of(OWN_HEAD).on(base))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("no output [batch, sequence, hidden] to put a head on");
  }
}
