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
import io.peft4j.adapters.FiniteDifferences;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.peft.PeftFormat;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.Loss;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** PEFT's LoRA and DoRA on the convolutions of a network, here on its ONNX export. */
class LoraConvolutionTest {
  private static final Path ROOT = Path.of("src/test/resources/methods/conv");

  private static PretrainedModel base() {
    return Checkpoints.open(ROOT.resolve("model.onnx"));
  }

  private static Map<String, Tensor> io(String name) {
    return SafeTensors.read(ROOT.resolve(name).resolve("io.safetensors")).tensors();
  }

  private static Map<String, Tensor> inputs(Map<String, Tensor> io, String... keys) {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (String key : keys) {
      inputs.put(key, io.get(key));
    }
    return inputs;
  }

  @ParameterizedTest
  @ValueSource(strings = {"lora", "lora-bias", "dora", "lora-grouped"})
  void logitsLossAndGradientsAreThoseOfPeft(String name) {
    Map<String, Tensor> io = io(name);
    AdaptedModel adapted = base().load(ROOT.resolve(name));
    try (TorchProgram program =
        TorchEngine.compile(
            Loss.CROSS_ENTROPY.attach(adapted.graph(), "logits"), CompileOptions.evaluation())) {
      Map<String, Tensor> outputs = program.backward(inputs(io, "pixel_values", "labels"), "loss");
      assertClose("logits", outputs.get("logits"), io.get("logits"), 1e-5, 0);
      assertClose("loss", outputs.get("loss"), io.get("loss"), 1e-5, 0);
      for (AdapterTensor tensor : adapted.adapter().tensors()) {
        String key = "grad." + PeftFormat.key(tensor);
        Tensor gradient = program.parameters().gradient(tensor.initializer());
        assertClose(key, gradient, io.get(key), 1e-5, 1e-4);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"lora", "lora-bias", "dora"})
  void mergedItIsPeftsMergedModel(String name) {
    MergedModel merged = base().load(ROOT.resolve(name)).merge();
    assertThat(merged.maxOutputDifference()).isLessThan(1e-5);
    Map<String, Tensor> io = io(name);
    Tensor logits =
        MethodCase.run(merged.model().graph(), inputs(io, "pixel_values")).get("logits");
    assertClose("logits", logits, io.get("logits_merged"), 1e-5, 0);
    SafeTensors.read(ROOT.resolve(name).resolve("merged.safetensors"))
        .tensors()
        .forEach((key, tensor) -> assertClose(key, weight(merged, key), tensor, 1e-5, 0));
  }

  /** A weight by its name in torch; exporters rename transposed ones. */
  private static Tensor weight(MergedModel merged, String key) {
    Tensor own = merged.model().graph().initializers().get(key);
    return own == null ? merged.model().graph().initializer("head.weight") : own;
  }

  @ParameterizedTest
  @ValueSource(strings = {"lora", "lora-bias", "dora", "lora-grouped"})
  void savedAgainItIsTheSameFile(String name, @TempDir Path folder) {
    base().load(ROOT.resolve(name)).save(folder.resolve("saved"));
    Map<String, Tensor> before =
        SafeTensors.read(ROOT.resolve(name).resolve("adapter_model.safetensors")).tensors();
    Map<String, Tensor> after =
        SafeTensors.read(folder.resolve("saved/adapter_model.safetensors")).tensors();
    assertThat(after.keySet()).containsExactlyInAnyOrderElementsOf(before.keySet());
    assertThat(before)
        .allSatisfy((key, tensor) -> assertThat(after.get(key).contentEquals(tensor)).isTrue());
  }

  @Test
  void gradientsAreTheSlopesOfTheLoss() {
    Targets targets = Targets.named(List.of("stem", "middle", "point"));
    AdaptedModel adapted = base().attach(Lora.rank(2).loraBias(true).on(targets));
    FiniteDifferences.checkSome(adapted, inputs(io("lora"), "pixel_values", "labels"), 4);
  }

  @Test
  void groupsAreNotMerged() {
    AdaptedModel adapted = base().load(ROOT.resolve("lora-grouped"));
    assertThatThrownBy(adapted::merge)
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("2 groups");
  }

  @Test
  void aRankThatGroupsDoNotDivideIsRefused() {
    Lora lora = Lora.rank(3).on(Targets.named(List.of("grouped")));
    assertThatThrownBy(() -> base().attach(lora))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("2 groups");
  }
}
