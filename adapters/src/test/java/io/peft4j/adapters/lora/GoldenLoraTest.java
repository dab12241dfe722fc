package io.peft4j.adapters.lora;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.AdaptedModel;
import io.peft4j.MergedModel;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.peft.PeftFormat;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeSet;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** LoRA against PEFT's own numbers. */
class GoldenLoraTest {
  private static final double TOLERANCE = 1e-5;

  @ParameterizedTest
  @ValueSource(
      strings = {"lora-ffn", "lora-qv", "lora-rslora", "lora-rank-pattern", "lora-modules_to_save"})
  void logitsAreThoseOfPeft(String name) {
    MethodCase golden = MethodCase.peft(name);
    Map<String, Tensor> outputs = MethodCase.run(golden.adapted().graph(), golden.inputs());
    assertClose("logits", outputs.get("logits"), golden.io().get("logits"), TOLERANCE, 0);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"lora-ffn", "lora-qv", "lora-rslora", "lora-rank-pattern", "lora-modules_to_save"})
  void lossAndEveryGradientAreThoseOfPeft(String name) {
    MethodCase golden = MethodCase.peft(name);
    AdaptedModel adapted = golden.adapted();
    try (TorchProgram program = MethodCase.withLoss(adapted.graph(), CompileOptions.evaluation())) {
      Map<String, Tensor> outputs = program.backward(golden.labelled(), "loss");
      assertClose("loss", outputs.get("loss"), golden.io().get("loss"), TOLERANCE, 0);
      TreeSet<String> seen = new TreeSet<>();
      for (AdapterTensor tensor : adapted.adapter().tensors()) {
        String key = "grad." + PeftFormat.key(tensor);
        Tensor gradient = program.parameters().gradient(tensor.initializer());
        assertClose(key, gradient, golden.io().get(key), TOLERANCE, 1e-4);
        seen.add(key);
      }
      TreeSet<String> expected = new TreeSet<>(golden.io().keySet());
      expected.removeIf(key -> !key.startsWith("grad."));
      assertThat(seen).isEqualTo(expected);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"lora-ffn", "lora-qv", "lora-rslora", "lora-rank-pattern", "lora-modules_to_save"})
  void mergedWeightsAndLogitsAreThoseOfPeft(String name) {
    MethodCase golden = MethodCase.peft(name);
    MergedModel merged = golden.adapted().merge();
    assertThat(merged.maxOutputDifference()).isLessThan(TOLERANCE);
    Map<String, Tensor> outputs = MethodCase.run(merged.model().graph(), golden.inputs());
    assertClose("logits", outputs.get("logits"), golden.io().get("logits_merged"), TOLERANCE, 0);
    SafeTensors.read(golden.folder().resolve("merged.safetensors"))
        .tensors()
        .forEach(
            (key, weight) ->
                assertClose(key, merged.model().graph().initializer(key), weight, TOLERANCE, 0));
    assertThat(merged.model().graph().trainable()).isEmpty();
    assertThat(merged.model().graph().nodes()).allMatch(node -> node.tag().isEmpty());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"lora-ffn", "lora-qv", "lora-rslora", "lora-rank-pattern", "lora-modules_to_save"})
  void savedAgainTensorsAreByteEqualAndTheConfigurationKeepsEveryField(
      String name, @TempDir Path folder) {
    MethodCase golden = MethodCase.peft(name);
    Path saved = folder.resolve("adapter");
    golden.adapted().save(saved);
    Map<String, Tensor> before =
        SafeTensors.read(golden.folder().resolve("adapter_model.safetensors")).tensors();
    Map<String, Tensor> after =
        SafeTensors.read(saved.resolve("adapter_model.safetensors")).tensors();
    assertThat(after.keySet()).containsExactlyInAnyOrderElementsOf(before.keySet());
    before.forEach(
        (key, tensor) -> assertThat(after.get(key).contentEquals(tensor)).as(key).isTrue());
    assertThat(MethodCase.json(saved.resolve("adapter_config.json")))
        .isEqualTo(MethodCase.json(golden.folder().resolve("adapter_config.json")));
  }
}
