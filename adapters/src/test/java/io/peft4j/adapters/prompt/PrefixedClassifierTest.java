package io.peft4j.adapters.prompt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.adapters.MethodCase;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A prefix on decoders that classify: the token that is scored is the last of the text. */
class PrefixedClassifierTest {
  private static final int SIZE = 32;

  @ParameterizedTest
  @ValueSource(strings = {"llama-cls", "gpt2-cls"})
  void theLastTokenOfTheTextIsScored(String family) {
    Path folder = Path.of("../loaders/src/test/resources/families").resolve(family);
    PretrainedModel base = Checkpoints.open(folder);
    Graph prefixed = base.attach(new PrefixTuning(3, false, 0, List.of()), 1).graph();
    long[] ids = {5, 7, 9, 0, 11, 12, 13, 14};
    long[] mask = {1, 1, 1, 0, 1, 1, 1, 1};
    int[] last = {2, 3};
    Map<String, Tensor> outputs =
        MethodCase.run(
            prefixed,
            Map.of(
                "input_ids", Tensor.ofLongs(new long[] {2, 4}, ids),
                "attention_mask", Tensor.ofLongs(new long[] {2, 4}, mask)));
    Tensor states = outputs.get("last_hidden_state");
    assertThat(states.shape()).containsExactly(2, 4, SIZE);
    Tensor logits = outputs.get("logits");
    Tensor score =
        SafeTensors.read(folder.resolve("model.safetensors")).tensors().get("score.weight");
    int labels = Math.toIntExact(score.dim(0));
    for (int row = 0; row < 2; row++) {
      for (int label = 0; label < labels; label++) {
        double expected = 0;
        for (int i = 0; i < SIZE; i++) {
          expected +=
              score.toDoubles()[label * SIZE + i]
                  * states.toDoubles()[(row * 4 + last[row]) * SIZE + i];
        }
        assertThat(logits.toDoubles()[row * labels + label]).isCloseTo(expected, within(1e-5));
      }
    }
  }
}
