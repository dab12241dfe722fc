package io.peft4j.adapters.prompt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.adapters.MethodCase;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Classifiers that score the last token of a text, behind a prefix. */
class PrefixOnClassifierTest {
  private static final Path FAMILIES = Path.of("../loaders/src/test/resources/families");

  @ParameterizedTest
  @ValueSource(strings = {"gpt2-cls", "llama-cls"})
  void theLastTokenOfTheTextIsScored(String family) {
    Path folder = FAMILIES.resolve(family);
    PretrainedModel base = Checkpoints.open(folder);
    AdaptedModel adapted = base.attach(PrefixTuning.tokens(3));
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    SafeTensors.read(folder.resolve("inputs.safetensors")).tensors().forEach(inputs::put);
    inputs.keySet().retainAll(base.graph().requiredInputs());

    String scored = base.sites().linear("score").orElseThrow().input();
    String states = base.sites().norms().get(base.sites().norms().size() - 1).output();
    Graph all =
        adapted
            .graph()
            .edit()
            .output(Value.of(scored, DType.FLOAT32))
            .output(Value.of(states, DType.FLOAT32))
            .build();
    Map<String, Tensor> outputs = MethodCase.run(all, inputs);
    double[] picked = outputs.get(scored).toDoubles(); // [rows, hidden]
    double[] each = outputs.get(states).toDoubles(); // [rows, sequence, hidden]
    int hidden = (int) outputs.get(states).dim(2);
    int sequence = (int) inputs.get("input_ids").dim(1);
    assertThat(outputs.get(states).dim(1)).isEqualTo(sequence);
    long[] mask = inputs.get("attention_mask").toLongs();
    for (int row = 0; row < inputs.get("input_ids").dim(0); row++) {
      int last = 0;
      for (int i = 0; i < sequence; i++) {
        last = mask[row * sequence + i] == 1 ? i : last;
      }
      int start = (row * sequence + last) * hidden;
      assertThat(Arrays.copyOfRange(picked, row * hidden, (row + 1) * hidden))
          .as("row %d", row)
          .containsExactly(Arrays.copyOfRange(each, start, start + hidden), within(1e-6));
    }
  }
}
