package io.peft4j.adapters.adapterhub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.MethodRecipes;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.Program;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Methods on graphs as exporters write them, attached, exported and run in ONNX Runtime. */
class AdapterHubOnExportsTest {
  private static final Path ONNX = Path.of("../loaders/src/test/resources/onnx");
  private static final double TOLERANCE = 1e-4;

  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({
    "bert-opset17, houlsby",
    "bert-opset17, seq_bn_inv",
    "bert-opset17, hub-prefix-tuning",
    "bert-opset17, hub-prompt-tuning",
    "bert-opset17, loreft",
    "bert-opset17, unipelt",
    "bert-nofold, mam",
    "bert-nofold, compacter",
    "bert-nofold, hub-prompt-tuning",
    "bert-opset14, unipelt",
    "bert-dynamo, unipelt",
    "bert-dynamo, seq_bn",
    "bert-dynamo, hub-prompt-tuning",
    "roberta, adapterplus",
    "roberta, unipelt",
    "distilbert, houlsby",
    "distilbert, mam",
    "gpt2, houlsby",
    "gpt2, par_bn",
    "gpt2, mam",
    "llama, seq_bn",
    "llama, noreft",
    "vit, double_seq_bn",
    "vit, direft"
  })
  void bothEnginesSayTheSameOfAnAdaptedExport(String model, String name) {
    PretrainedModel base = Checkpoints.open(ONNX.resolve(model).resolve("model.onnx"));
    AdapterMethod method =
        MethodRecipes.named(name)
            .read(PeftConfig.of(Path.of("settings"), Map.of("reduction_factor", 4)));
    Graph adapted = moved(base.attach(method, 3).graph());
    Map<String, Tensor> probe = ProbeInputs.of(base.graph());
    Map<String, Tensor> expected = MethodCase.run(adapted, probe);
    Path file = folder.resolve("adapted.onnx");
    PretrainedModel.of(adapted.edit().freezeAll().untag().build()).save(file);
    try (Program runtime = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).open(file)) {
      assertThat(OutputDifference.largest(expected, runtime.run(probe))).isLessThan(TOLERANCE);
    }
    Map<String, Tensor> plain = MethodCase.run(base.graph(), probe);
    expected.forEach(
        (output, tensor) -> {
          if (tensor.size() == plain.get(output).size()) {
            assertThat(
                    OutputDifference.largest(
                        Map.of(output, tensor), Map.of(output, plain.get(output))))
                .as("the adapter must matter to " + output)
                .isGreaterThan(1e-3);
          }
        });
  }

  @Test
  void prefixesForSharedKeysAreNone() {
    PretrainedModel base = Checkpoints.open(ONNX.resolve("llama/model.onnx"));
    AdapterMethod method =
        MethodRecipes.named("hub-prefix-tuning").read(PeftConfig.of(Path.of("settings"), Map.of()));
    assertThatThrownBy(() -> base.attach(method, 3))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("'model.layers.0.self_attn' share keys");
  }

  private static Graph moved(Graph graph) {
    Random random = new Random(11);
    GraphEditor editor = graph.edit();
    for (String name : graph.trainable()) {
      float[] numbers = graph.initializer(name).toFloats();
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] += 0.05f * (float) random.nextGaussian();
      }
      editor.initializer(name, Tensor.ofFloats(graph.initializer(name).shape(), numbers));
    }
    return editor.build();
  }
}
