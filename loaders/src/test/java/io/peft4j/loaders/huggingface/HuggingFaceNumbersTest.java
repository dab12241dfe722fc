package io.peft4j.loaders.huggingface;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.loaders.GoldenCase;
import java.io.IOException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HuggingFaceNumbersTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "bert",
        "bert-token",
        "bert-model",
        "sharded-bert",
        "fp16-bert",
        "mlp784",
        "gpt2",
        "gpt2-cls",
        "llama",
        "llama-tied",
        "llama-cls",
        "bf16-llama",
        "mistral",
        "qwen2",
        "qwen3",
        "llama-rope-llama3",
        "llama-rope-linear",
        "llama-biases",
        "mistral-no-window",
        "gpt2-scaling",
        "gpt2-model"
      })
  void everyOutputMatchesTheReference(String name) throws IOException {
    GoldenCase family = GoldenCase.of("families", name);
    Graph graph = new HuggingFaceFormat().read(family.folder(), true).graph();
    try (Program program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      assertThat(family.errors(program)).allSatisfy((k, v) -> assertThat(v).isLessThan(1));
    }
  }
}
