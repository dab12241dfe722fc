package io.peft4j.adapters.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.FiniteDifferences;
import io.peft4j.adapters.MethodCase;
import io.peft4j.graph.Tensor;
import io.peft4j.network.Activation;
import io.peft4j.network.FeedForwardNetwork;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class LoraTest {
  @Test
  void theAdaptedModelStartsAsTheBaseModel() {
    MethodCase golden = MethodCase.peft("lora-ffn");
    AdaptedModel adapted = MethodCase.bert().attach(Lora.rank(3));
    Tensor logits = MethodCase.run(adapted.graph(), golden.inputs()).get("logits");
    MethodCase.assertClose("logits", logits, golden.io().get("logits_base"), 1e-6, 0);
    assertThat(adapted.graph().trainableCount()).isEqualTo(2L * 2 * 3 * (32 + 72));
  }

  @Test
  void gradientsOnATransformerAgreeWithFiniteDifferencesInDoublePrecision() {
    AdaptedModel adapted =
        MethodCase.bert()
            .attach(Lora.rank(2).on(Targets.allLinear()).modulesToSave(List.of("classifier")));
    FiniteDifferences.checkSome(adapted, MethodCase.peft("lora-ffn").labelled(), 4);
  }

  @ParameterizedTest
  @EnumSource(Activation.class)
  void everyGradientOnATwoLayerNetworkAgreesWithFiniteDifferencesInDoublePrecision(
      Activation activation) {
    PretrainedModel network =
        FeedForwardNetwork.builder().input(6).hidden(5, activation).output(3).seed(4).build();
    AdaptedModel adapted = network.attach(Lora.rank(2).on(Targets.named(List.of("0", "2"))));
    Random random = new Random(8);
    float[] rows = new float[4 * 6];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = (float) random.nextGaussian();
    }
    FiniteDifferences.checkAll(
        adapted,
        Map.of(
            "input",
            Tensor.ofFloats(new long[] {4, 6}, rows),
            "labels",
            Tensor.vector(2, 0, 1, 2)));
  }

  @Test
  void oneWrongNameAmongRightOnesIsAnErrorThatListsTheNearest() {
    assertThatThrownBy(
            () ->
                MethodCase.bert().attach(Lora.rank(2).on(Targets.named(List.of("query", "valeu")))))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("'valeu'")
        .hasMessageContaining("'value'");
  }

  @Test
  void anExpressionThatMatchesNothingIsAnError() {
    assertThatThrownBy(
            () -> MethodCase.bert().attach(Lora.rank(2).on(Targets.matching(".*layer\\.9\\..*"))))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("matches no module");
  }

  @Test
  void aNormAsATargetIsRefusedByPath() {
    assertThatThrownBy(
            () -> MethodCase.bert().attach(Lora.rank(2).on(Targets.named(List.of("LayerNorm")))))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("LayerNorm' is no linear layer");
  }

  @Test
  void valuesOutOfRangeAreRefusedByField() {
    assertThatThrownBy(() -> Lora.rank(0))
        .isInstanceOf(RecipeException.class)
        .hasMessage("rank must be at least 1, was 0");
    assertThatThrownBy(() -> Lora.rank(4).dropout(1)).hasMessageContaining("dropout must be");
    assertThatThrownBy(() -> Lora.rank(4).alpha(-1)).hasMessageContaining("alpha must be");
  }

  @Test
  void aNewAdapterIsReadBackAsItWasSaved(@TempDir Path folder) {
    AdaptedModel adapted = MethodCase.bert().attach(Lora.rank(2).alpha(5).dropout(0.25), 11);
    adapted.save(folder.resolve("a"));
    AdaptedModel read = MethodCase.bert().load(folder.resolve("a"));
    assertThat(read.adapter().targets()).isEqualTo(adapted.adapter().targets());
    Lora lora = (Lora) read.adapter().method();
    assertThat(lora.rank()).isEqualTo(2);
    assertThat(lora.alpha()).isEqualTo(5);
    assertThat(lora.dropout()).isEqualTo(0.25);
    for (String name : adapted.graph().trainable()) {
      assertThat(read.graph().initializer(name).contentEquals(adapted.graph().initializer(name)))
          .isTrue();
    }
    assertThat(MethodCase.json(folder.resolve("a/adapter_config.json")).get("task_type").asText())
        .isEqualTo("SEQ_CLS");
  }
}
