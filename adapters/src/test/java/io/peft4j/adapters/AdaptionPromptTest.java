package io.peft4j.adapters;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.prompt.AdaptionPrompt;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** LLaMA-Adapter on attentions of every form; PEFT's own numbers are in {@link GoldenPeftTest}. */
class AdaptionPromptTest {
  @ParameterizedTest
  @ValueSource(strings = {"prefix-tuning-bert", "prefix-tuning-gpt2", "prefix-tuning-llama"})
  void startsUnchangedAndLearnsWhatItsGradientsSay(String like, @TempDir Path work) {
    MethodCase batch = MethodCase.peft(like);
    AdaptedModel model = batch.base().attach(AdaptionPrompt.of(3, 2));
    Tensor before = MethodCase.run(batch.base().graph(), batch.inputs()).get("logits");
    Tensor start = MethodCase.run(model.graph(), batch.inputs()).get("logits");
    assertClose("start", start, before, 1e-6, 0);
    Map<String, Tensor> open = new HashMap<>();
    for (AdapterTensor tensor : model.adapter().tensors()) {
      if (tensor.parameter().equals("adaption_gate")) {
        open.put(tensor.initializer(), Tensor.ofFloats(new long[] {1}, 0.7f));
      }
    }
    model.update(open);
    FiniteDifferences.checkSome(batch, model, 2);
    model.save(work.resolve("adapter"));
    AdaptedModel read = batch.base().load(work.resolve("adapter"));
    Tensor logits = MethodCase.run(model.graph(), batch.inputs()).get("logits");
    assertThat(MethodCase.run(read.graph(), batch.inputs()).get("logits").contentEquals(logits))
        .isTrue();
    assertThat(logits.contentEquals(start)).isFalse();
  }

  @Test
  void moreLayersThanThereAreAreRefused() {
    assertThatThrownBy(() -> MethodCase.bert().attach(AdaptionPrompt.of(3, 5)))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("has 2");
  }

  @Test
  void attentionsOfAnotherNameAreNotTaken() {
    AdaptionPrompt other = new AdaptionPrompt(3, 1, "encoder_attn");
    assertThatThrownBy(() -> MethodCase.bert().attach(other))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("'encoder_attn'");
  }
}
