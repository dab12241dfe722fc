package io.peft4j.loaders.huggingface;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.onnx.OnnxFormat;
import io.peft4j.loaders.onnxruntime.OnnxRuntimeEngine;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.NormSite;
import io.peft4j.site.Sites;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The real all-MiniLM-L6-v2: its ONNX export, and the same weights as a SafeTensors folder under
 * the names that the checkpoint has, found by the sites of the export.
 */
class MiniLmTest {
  private static final double TOLERANCE = 1e-4;

  @TempDir Path folder;

  @Test
  void theSafeTensorsFolderGivesTheOutputsOfTheExport() throws IOException {
    Path onnx = folder.resolve("model.onnx");
    try (InputStream input = MiniLmTest.class.getResourceAsStream("/all-minilm-l6-v2.onnx")) {
      Files.copy(input, onnx);
    }
    Graph export = new OnnxFormat().read(onnx).graph();
    Path checkpoint = Files.createDirectory(folder.resolve("checkpoint"));
    SafeTensors.write(checkpoint.resolve("model.safetensors"), weights(export), Map.of());
    Files.writeString(
        checkpoint.resolve("config.json"),
        """
        {"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu",
         "attention_probs_dropout_prob": 0.1, "hidden_dropout_prob": 0.1, "hidden_size": 384,
         "intermediate_size": 1536, "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
         "num_attention_heads": 12, "num_hidden_layers": 6, "pad_token_id": 0,
         "position_embedding_type": "absolute", "type_vocab_size": 2, "vocab_size": 30522}
        """);
    Graph built = new HuggingFaceFormat().read(checkpoint).graph();
    assertThat(built.parameterCount()).isEqualTo(22_713_216);

    Map<String, Tensor> probe = ProbeInputs.of(built);
    Tensor expected;
    try (Program program = new OnnxRuntimeEngine().open(onnx)) {
      expected = program.run(probe).get("output_0");
    }
    assertThat(OutputDifference.largest(run(built, probe).get("last_hidden_state"), expected))
        .isLessThan(TOLERANCE);
    assertThat(OutputDifference.largest(run(export, probe).get("output_0"), expected))
        .isLessThan(TOLERANCE);
  }

  private static Map<String, Tensor> run(Graph graph, Map<String, Tensor> inputs) {
    try (Program program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return program.run(inputs);
    }
  }

  private static Map<String, Tensor> weights(Graph graph) {
    Map<String, Tensor> weights = new LinkedHashMap<>();
    Sites sites = Sites.of(graph);
    for (LinearSite site : sites.linears()) {
      Tensor weight = graph.initializer(site.weight());
      weights.put(
          site.path() + ".weight", site.storedTransposed() ? weight.transposed(1, 0) : weight);
      weights.put(site.path() + ".bias", graph.initializer(site.bias()));
    }
    for (NormSite site : sites.norms()) {
      weights.put(site.path() + ".weight", graph.initializer(site.weight()));
      weights.put(site.path() + ".bias", graph.initializer(site.bias()));
    }
    for (EmbeddingSite site : sites.embeddings()) {
      weights.put(site.path() + ".weight", graph.initializer(site.weight()));
    }
    return weights;
  }
}
