package io.peft4j.loaders.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.UnsupportedModelException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.loaders.GoldenCase;
import io.peft4j.loaders.onnxruntime.OnnxRuntimeEngine;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class OnnxNumbersTest {
  /** Every export that the PyTorch engine runs. */
  static List<String> runnable() {
    return List.of(
        "bert-dynamo",
        "bert-external",
        "bert-fp16",
        "bert-fp16-weights",
        "bert-int8",
        "bert-nofold",
        "bert-opset14",
        "bert-opset17",
        "distilbert",
        "gpt2",
        "llama",
        "mlp784",
        "resnet-bn",
        "resnet-folded",
        "roberta",
        "sklearn-mlp",
        "t5-encoder",
        "vit");
  }

  @ParameterizedTest
  @MethodSource("runnable")
  void theImportedGraphMatchesOnPyTorch(String name) throws IOException {
    GoldenCase golden = GoldenCase.of("onnx", name);
    try (Program program = TorchEngine.compile(graph(golden), CompileOptions.evaluation())) {
      assertThat(golden.errors(program)).allSatisfy((k, v) -> assertThat(v).isLessThan(1));
    }
  }

  @ParameterizedTest
  @MethodSource("runnable")
  @ValueSource(strings = {"bert-optimized"})
  void whatIsWrittenAgainMatchesInOnnxRuntime(String name) throws IOException {
    GoldenCase golden = GoldenCase.of("onnx", name);
    try (Program program = new OnnxRuntimeEngine().compile(graph(golden))) {
      assertThat(golden.errors(program)).allSatisfy((k, v) -> assertThat(v).isLessThan(1));
    }
  }

  @ParameterizedTest
  @CsvSource({"bert-optimized, EmbedLayerNormalization"})
  void anOperatorThatIsMissingIsNamed(String name, String operator) throws IOException {
    Graph graph = graph(GoldenCase.of("onnx", name));
    assertThatThrownBy(() -> TorchEngine.compile(graph, CompileOptions.evaluation()))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining(operator)
        .hasMessageContaining("not supported by the PyTorch engine");
  }

  private static Path file(GoldenCase golden) {
    return golden.folder().resolve("model.onnx");
  }

  private static Graph graph(GoldenCase golden) {
    return new OnnxFormat().read(file(golden)).graph();
  }
}
