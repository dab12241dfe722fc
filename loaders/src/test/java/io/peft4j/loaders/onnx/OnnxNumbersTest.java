package io.peft4j.loaders.onnx;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.loaders.GoldenCase;
import io.peft4j.loaders.onnxruntime.OnnxRuntimeEngine;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OnnxNumbersTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "bert-dynamo",
        "bert-external",
        "bert-fp16",
        "bert-fp16-weights",
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
        "vit"
      })
  void theImportedGraphMatchesOnPyTorch(String name) throws IOException {
    GoldenCase golden = GoldenCase.of("onnx", name);
    try (Program program = TorchEngine.compile(graph(golden), CompileOptions.evaluation())) {
      assertThat(golden.errors(program)).allSatisfy((k, v) -> assertThat(v).isLessThan(1));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "bert-dynamo",
        "bert-external",
        "bert-fp16",
        "bert-fp16-weights",
        "bert-int8",
        "bert-nofold",
        "bert-optimized",
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
        "vit"
      })
  void whatIsWrittenAgainMatchesInOnnxRuntime(String name) throws IOException {
    GoldenCase golden = GoldenCase.of("onnx", name);
    try (Program program = new OnnxRuntimeEngine().compile(graph(golden))) {
      assertThat(golden.errors(program)).allSatisfy((k, v) -> assertThat(v).isLessThan(1));
    }
  }

  private static Path file(GoldenCase golden) {
    return golden.folder().resolve("model.onnx");
  }

  private static Graph graph(GoldenCase golden) {
    return new OnnxFormat().read(file(golden)).graph();
  }
}
