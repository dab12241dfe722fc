package io.peft4j.adapters.lora;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.MergedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.MethodCase;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** GPT-2, whose output layer shares the table of its embeddings. */
class LoraTiedWeightsTest {
  private static final MethodCase CASE = MethodCase.peft("lora-gpt2");

  @ParameterizedTest
  @ValueSource(strings = {"lm_head", "wte", "wte,lm_head", "wte,lm_head,c_attn,wpe"})
  void mergingUntiesAndTheCheckpointSaysSo(String targets, @TempDir Path folder) {
    AdaptedModel adapted = random(Lora.rank(4).on(Targets.named(List.of(targets.split(",")))));
    Tensor expected = logits(adapted.graph());
    assertThat(expected.contentEquals(CASE.io().get("logits_base"))).isFalse();
    MergedModel merged = adapted.merge();
    assertClose("merged", logits(merged.model().graph()), expected, 2e-5, 0);
    Path checkpoint = folder.resolve("merged");
    merged.model().save(checkpoint);
    assertThat(
            MethodCase.json(checkpoint.resolve("config.json"))
                .get("tie_word_embeddings")
                .asBoolean())
        .isFalse();
    PretrainedModel read = Checkpoints.open(checkpoint);
    assertThat(logits(read.graph()).contentEquals(logits(merged.model().graph()))).isTrue();
  }

  @Test
  void doraOnAllKindsOfModulesMergesToo() {
    Targets targets = Targets.named(List.of("wte", "lm_head", "c_attn", "c_fc"));
    AdaptedModel adapted = random(Lora.rank(4).dora(true).on(targets));
    MergedModel merged = adapted.merge();
    assertClose("merged", logits(merged.model().graph()), logits(adapted.graph()), 2e-5, 0);
  }

  @Test
  void doraStartsAsTheBaseModel() {
    Targets targets = Targets.named(List.of("wte", "lm_head", "c_attn", "c_fc"));
    AdaptedModel adapted = CASE.base().attach(Lora.rank(4).dora(true).on(targets));
    assertClose("start", logits(adapted.graph()), CASE.io().get("logits_base"), 2e-5, 0);
  }

  @Test
  void aStartThatChangesASharedWeightIsRefused() {
    Lora lora = Lora.rank(4).init(LoraStart.PISSA).on(Targets.named(List.of("lm_head")));
    assertThatThrownBy(() -> CASE.base().attach(lora))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("lm_head");
  }

  @Test
  void weightsThatLieInFirstCanBeCut() {
    Targets targets = Targets.named(List.of("c_attn", "c_proj"));
    for (LoraStart start : List.of(LoraStart.PISSA, LoraStart.OLORA)) {
      AdaptedModel adapted = CASE.base().attach(Lora.rank(4).init(start).on(targets));
      assertClose("start", logits(adapted.graph()), CASE.io().get("logits_base"), 2e-5, 0);
      assertClose(
          "merged", logits(adapted.merge().model().graph()), CASE.io().get("logits_base"), 2e-5, 0);
    }
  }

  private static Tensor logits(io.peft4j.graph.Graph graph) {
    return MethodCase.run(graph, CASE.inputs()).get("logits");
  }

  /** An adapter whose tensors all have random values. */
  private static AdaptedModel random(Lora lora) {
    AdaptedModel adapted = CASE.base().attach(lora);
    Random random = new Random(11);
    Map<String, Tensor> values = new HashMap<>();
    for (AdapterTensor tensor : adapted.adapter().tensors()) {
      Tensor start = adapted.graph().initializer(tensor.initializer());
      float[] numbers = start.toFloats();
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] += (float) (0.1 * random.nextGaussian());
      }
      values.put(tensor.initializer(), Tensor.ofFloats(start.shape(), numbers));
    }
    adapted.update(values);
    return adapted;
  }
}
