package io.peft4j.adapters;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.collect.Streams;
import io.peft4j.AdaptedModel;
import io.peft4j.CheckpointFormatException;
import io.peft4j.PretrainedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.loha.Loha;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Fields of configurations that no golden case sets. */
class PeftFieldsTest {
  @TempDir Path folder;

  static Stream<String> withDropout() {
    return MethodCase.peftCases().filter(name -> !dropouts(config(name)).isEmpty());
  }

  private static ObjectNode config(String name) {
    return (ObjectNode)
        MethodCase.json(MethodCase.peft(name).folder().resolve("adapter_config.json"));
  }

  private static List<String> dropouts(ObjectNode config) {
    return Streams.stream(config.fieldNames()).filter(key -> key.endsWith("dropout")).toList();
  }

  /** The case's adapter with a changed configuration. */
  private MethodCase changed(String name, Consumer<ObjectNode> change) throws IOException {
    MethodCase original = MethodCase.peft(name);
    ObjectNode config = config(name);
    change.accept(config);
    Files.writeString(folder.resolve("adapter_config.json"), config.toString());
    String weights = "adapter_model.safetensors";
    Files.copy(original.folder().resolve(weights), folder.resolve(weights));
    return new MethodCase(folder, original.baseName(), original.io());
  }

  @ParameterizedTest
  @MethodSource("withDropout")
  void dropoutDoesNothingOutsideTraining(String name) throws IOException {
    MethodCase dropping =
        changed(name, config -> dropouts(config).forEach(key -> config.put(key, 0.25)));
    Map<String, Tensor> outputs = MethodCase.run(dropping.adapted().graph(), dropping.inputs());
    Tensor expected = dropping.io().get("logits");
    assertClose("logits", outputs.get("logits"), expected, 1e-5, 0);
  }

  /** Rotations that training always leaves out rotate nothing. */
  @ParameterizedTest
  @ValueSource(strings = {"oft", "boft"})
  void trainingLeavesRotationsOut(String name) throws IOException {
    MethodCase dropping =
        changed(name, config -> dropouts(config).forEach(key -> config.put(key, 0.9999999)));
    AdaptedModel adapted = dropping.adapted();
    Tensor logits;
    try (TorchProgram training =
        TorchEngine.compile(adapted.graph(), CompileOptions.forTraining())) {
      logits = training.run(dropping.inputs()).get("logits");
    }
    Map<String, Tensor> unrotated = new TreeMap<>();
    for (AdapterTensor tensor : adapted.adapter().tensors()) {
      if (tensor.parameter().contains("_R")) {
        long[] shape = adapted.graph().initializer(tensor.initializer()).shape();
        unrotated.put(tensor.initializer(), Tensor.zeros(DType.FLOAT32, shape));
      }
    }
    assertThat(unrotated).isNotEmpty();
    adapted.update(unrotated);
    Tensor expected = MethodCase.run(adapted.graph(), dropping.inputs()).get("logits");
    assertClose("logits", logits, expected, 1e-5, 0);
    assertThat(expected.contentEquals(dropping.io().get("logits"))).isFalse();
  }

  @ParameterizedTest
  @CsvSource({"0, 0.9999999", "0.9999999, 0"})
  void whatTrainingDropsWhollyLeavesTheModelAsItIs(double rows, double modules) {
    PretrainedModel base = MethodCase.bert();
    Targets query = Targets.named(List.of("query"));
    Loha loha = new Loha(4, 8, rows, modules, false, query, Map.of(), Map.of(), List.of());
    MethodCase example = MethodCase.peft("lora-ffn");
    var adapted = SmallMethods.moved(base.attach(loha)).graph();
    Tensor expected = MethodCase.run(base.graph(), example.inputs()).get("logits");
    try (TorchProgram program = TorchEngine.compile(adapted, CompileOptions.forTraining())) {
      assertClose("logits", program.run(example.inputs()).get("logits"), expected, 1e-6, 0);
    }
    Tensor evaluated = MethodCase.run(adapted, example.inputs()).get("logits");
    assertThat(evaluated.contentEquals(expected)).isFalse();
  }

  /** A trainer that saves the state of the wrapped model leaves the wrappers' names in the keys. */
  @ParameterizedTest
  @ValueSource(strings = {"lora-qv", "lora-embedding", "loha", "dora-bert"})
  void keysWithTheNamesOfWrappersAreRead(String name) throws IOException {
    MethodCase original = MethodCase.peft(name);
    MethodCase wrapped = changed(name, config -> {});
    Path file = folder.resolve("adapter_model.safetensors");
    Map<String, Tensor> renamed = new TreeMap<>();
    SafeTensors.read(file).tensors().forEach((key, t) -> renamed.put(wrapped(key), t));
    SafeTensors.write(file, renamed, Map.of());
    Map<String, Tensor> outputs = MethodCase.run(wrapped.adapted().graph(), original.inputs());
    assertClose("logits", outputs.get("logits"), original.io().get("logits"), 1e-5, 0);
  }

  private static String wrapped(String key) {
    String twice = "base_model.model." + key;
    return twice.contains(".classifier.")
        ? twice.replace(".classifier.", ".classifier.modules_to_save.default.")
        : twice.replaceFirst("(\\.(lora|hada)_\\w+)", "$1.default");
  }

  @Test
  void aTensorUnderBothItsKeysIsRefused() throws IOException {
    MethodCase twice = changed("lora-qv", config -> {});
    Path file = folder.resolve("adapter_model.safetensors");
    Map<String, Tensor> tensors = new TreeMap<>(SafeTensors.read(file).tensors());
    Map.copyOf(tensors).forEach((key, t) -> tensors.put(wrapped(key), t));
    SafeTensors.write(file, tensors, Map.of());
    assertThatThrownBy(twice::adapted)
        .isInstanceOf(CheckpointFormatException.class)
        .hasMessageContaining("twice");
  }

  @Test
  void anInitialisationThatIsNotKnownIsRefused() throws IOException {
    MethodCase unknown = changed("lora-ffn", config -> config.put("init_lora_weights", "newer"));
    assertThatThrownBy(unknown::adapted)
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("init_lora_weights is 'newer'");
  }

  @Test
  void tiedAdaptersOfATiedOutputLayerAreRefused() throws IOException {
    MethodCase tied = changed("lora-embedding", config -> config.put("ensure_weight_tying", true));
    assertThatThrownBy(tied::adapted)
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("'ensure_weight_tying' is set to true");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "lora-ffn | lora_alpha | -1 | lora_alpha must be",
        "road-1 | group_size | 17 | group_size must be even",
        "lokr | decompose_factor | 0 | decompose_factor must be",
        "randlora | randlora_alpha | -2 | randlora_alpha must be",
        "boft | boft_block_num | 4 | boft_block_size is 8 and boft_block_num 4",
        "gralora | gralora_k | 3 | r must be a multiple of gralora_k",
      })
  void aValueOutOfRangeIsNamedAsTheFileNamesIt(String name, String key, int value, String told)
      throws IOException {
    MethodCase wrong = changed(name, config -> config.put(key, value));
    assertThatThrownBy(wrong::adapted)
        .isInstanceOf(CheckpointFormatException.class)
        .hasMessageContaining("adapter_config.json: " + told);
  }
}
