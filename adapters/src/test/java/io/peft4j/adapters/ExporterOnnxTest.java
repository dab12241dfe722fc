package io.peft4j.adapters;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.peft.PeftFormat;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Adapters that PEFT trained on a model of transformers, on that model as exporters wrote it: the
 * exporters' graphs with the weights of the golden data's base models.
 */
class ExporterOnnxTest {
  private static final Path ONNX = Path.of("../loaders/src/test/resources/onnx");
  private static final double TOLERANCE = 1e-5;
  private static final Map<String, List<String>> EXPORTS =
      Map.of(
          "base-bert", List.of("bert-opset14", "bert-opset17", "bert-nofold", "bert-dynamo"),
          "base-gpt2", List.of("gpt2"),
          "base-llama", List.of("llama"));

  private static final Map<String, PretrainedModel> OPENED = new HashMap<>();

  static Stream<Object[]> cases() {
    return MethodCase.peftCases()
        .flatMap(
            name ->
                EXPORTS.getOrDefault(MethodCase.peft(name).baseName(), List.of()).stream()
                    .map(export -> new Object[] {name, export}));
  }

  private static PretrainedModel opened(String export, PretrainedModel base) {
    return OPENED.computeIfAbsent(export, key -> ExportedBase.of(key, base));
  }

  @Test
  void layersThatAreHiddenInFusedOperatorsAreMissedByName() {
    PretrainedModel base = Checkpoints.open(ONNX.resolve("bert-optimized/model.onnx"));
    assertThatThrownBy(() -> base.load(MethodCase.peft("lora-qv").folder()))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("target 'query' matches no module of this model");
    assertThatThrownBy(() -> base.load(MethodCase.peft("prefix-tuning-bert").folder()))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("needs attention; this model has none");
  }

  @ParameterizedTest
  @MethodSource("cases")
  void anAdapterOfPeftDoesTheSame(String name, String export) {
    MethodCase golden = MethodCase.peft(name);
    PretrainedModel model = opened(export, golden.base());
    AdaptedModel adapted = model.load(golden.folder());
    try (TorchProgram program = golden.withLoss(adapted.graph(), CompileOptions.evaluation())) {
      Map<String, Tensor> outputs = program.backward(golden.labelled(), "loss");
      assertClose("logits", outputs.get("logits"), golden.io().get("logits"), TOLERANCE, 0);
      assertClose("loss", outputs.get("loss"), golden.io().get("loss"), TOLERANCE, 0);
      for (AdapterTensor tensor : adapted.adapter().tensors()) {
        String key = "grad." + PeftFormat.key(tensor);
        boolean compared = !(name.equals("c3a") && key.contains("layer.0.")); // see GoldenPeftTest
        if (compared && adapted.graph().trainable().contains(tensor.initializer())) {
          Tensor gradient = program.parameters().gradient(tensor.initializer());
          Tensor laid = tensor.transposed() ? gradient.transposed(1, 0) : gradient;
          assertClose(key, laid, golden.io().get(key), TOLERANCE, 1e-4);
        }
      }
    }
    if (golden.io().containsKey("logits_merged")) {
      Graph merged = adapted.merge().model().graph();
      assertClose(
          "merged",
          MethodCase.run(merged, golden.inputs()).get("logits"),
          golden.io().get("logits_merged"),
          2 * TOLERANCE,
          0);
    }
  }
}
