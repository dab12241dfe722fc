package io.peft4j.loaders.huggingface;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.UnsupportedModelException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.format.Checkpoint;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.GoldenCase;
import io.peft4j.loaders.onnx.OnnxFormat;
import io.peft4j.loaders.onnxruntime.OnnxRuntimeEngine;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.site.AttentionSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import io.peft4j.task.Loss;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** GPT-2, Llama and their kin beyond the numbers of their outputs. */
class DecoderFamiliesTest {
  private static final Path METHODS = Path.of("src/test/resources/methods");
  private static final Path FAMILIES = Path.of("src/test/resources/families");
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;

  private static Graph graph(Path model) {
    return new HuggingFaceFormat().read(model).graph();
  }

  private static Map<String, Tensor> batch(Map<String, Tensor> io) {
    Map<String, Tensor> batch = new LinkedHashMap<>();
    List.of("input_ids", "attention_mask", "labels").forEach(key -> batch.put(key, io.get(key)));
    return batch;
  }

  @ParameterizedTest
  @ValueSource(strings = {"base-gpt2", "base-llama"})
  void causalLossIsTheReference(String name) {
    Map<String, Tensor> io = SafeTensors.read(METHODS.resolve(name + "/io.safetensors")).tensors();
    Graph judged = Loss.CAUSAL_CROSS_ENTROPY.attach(graph(METHODS.resolve(name)), "logits");
    try (Program program = TorchEngine.compile(judged, CompileOptions.evaluation())) {
      Map<String, Tensor> results = program.run(batch(io));
      assertThat(results.get("loss").item()).isCloseTo(io.get("loss").item(), within(1e-5));
      assertThat(results.get("logits").toFloats())
          .usingComparatorWithPrecision(1e-5f)
          .containsExactly(io.get("logits").toFloats());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"base-gpt2", "base-llama"})
  void gradientsAreTheSlopesOfTheLoss(String name) {
    Map<String, Tensor> io = SafeTensors.read(METHODS.resolve(name + "/io.safetensors")).tensors();
    Graph base = graph(METHODS.resolve(name));
    GraphEditor editor = base.edit();
    base.parameters().forEach(editor::train);
    Graph judged = Loss.CAUSAL_CROSS_ENTROPY.attach(editor.build(), "logits");
    CompileOptions options = CompileOptions.evaluation().withPrecision(DType.FLOAT64);
    Map<String, Tensor> batch = batch(io);
    Random random = new Random(7);
    try (TorchProgram program = TorchEngine.compile(judged, options)) {
      program.backward(batch, "loss");
      TorchParameters parameters = program.parameters();
      assertThat(parameters.names()).hasSameSizeAs(base.parameters());
      for (String parameter : parameters.names()) {
        double[] values = parameters.value(parameter).toDoubles();
        double[] gradient = parameters.gradient(parameter).toDoubles();
        for (int i : random.ints(4, 0, values.length).toArray()) {
          double slope =
              (shifted(program, parameter, i, 1e-5, batch)
                      - shifted(program, parameter, i, -1e-5, batch))
                  / 2e-5;
          assertThat(gradient[i])
              .as(parameter + " at " + i)
              .isCloseTo(slope, within(1e-8 + 1e-6 * Math.abs(slope)));
        }
      }
    }
  }

  /** The loss with one element moved. */
  private static double shifted(
      TorchProgram program, String name, int index, double step, Map<String, Tensor> batch) {
    Tensor start = program.parameters().value(name);
    double[] values = start.toDoubles();
    values[index] += step;
    program.parameters().set(name, Tensor.ofDoubles(start.shape(), values));
    double loss = program.run(batch).get("loss").item();
    program.parameters().set(name, start);
    return loss;
  }

  @ParameterizedTest
  @ValueSource(strings = {"gpt2", "llama"})
  void sitesAreThoseOfTheExport(String name) {
    Sites built = Sites.of(graph(FAMILIES.resolve(name)));
    Path export = Path.of("src/test/resources/onnx", name, "model.onnx");
    Sites exported = Sites.of(new OnnxFormat().read(export).graph());
    Function<LinearSite, String> linear =
        s -> s.path() + " " + s.role() + " " + s.inFeatures() + " " + s.outFeatures();
    assertThat(built.linears().stream().map(linear))
        .containsExactlyElementsOf(exported.linears().stream().map(linear).toList());
    assertThat(paths(built.feedForwards())).isEqualTo(paths(exported.feedForwards()));
    assertThat(paths(built.attentions())).isEqualTo(paths(exported.attentions()));
    assertThat(paths(built.norms())).isEqualTo(paths(exported.norms()));
    assertThat(paths(built.embeddings())).isEqualTo(paths(exported.embeddings()));
  }

  private static List<String> paths(List<? extends Site> sites) {
    return sites.stream().map(Site::path).toList();
  }

  @Test
  void fusedQueriesKeysAndValuesAreOneSite() {
    Sites sites = Sites.of(graph(FAMILIES.resolve("gpt2")));
    AttentionSite attention = sites.attentions().get(1);
    assertThat(attention.key()).isEqualTo(attention.query());
    assertThat(attention.value()).isEqualTo(attention.query());
    assertThat(attention.query().inFirst()).isTrue();
    assertThat(attention.query().storedTransposed()).isFalse();
    assertThat(attention.output().path()).isEqualTo("transformer.h.1.attn.c_proj");
  }

  @Test
  void tiedHeadIsALayerOnTheTableOfTheEmbeddings() {
    Sites sites = Sites.of(graph(FAMILIES.resolve("llama-tied")));
    LinearSite head = sites.linear("lm_head").orElseThrow();
    assertThat(head.weight()).isEqualTo("model.embed_tokens.weight");
    assertThat(sites.embeddings().get(0).weight()).isEqualTo(head.weight());
  }

  @Test
  void gateOfTheFeedForwardBlockIsFound() {
    Sites sites = Sites.of(graph(FAMILIES.resolve("llama")));
    LinearSite gate = sites.feedForwards().get(0).gate();
    assertThat(gate).isNotNull();
    assertThat(gate.path()).isEqualTo("model.layers.0.mlp.gate_proj");
  }

  @Test
  void tensorNamesWithoutThePrefixOfTheBaseModelAreTheSameModel() throws IOException {
    Path model = copy("gpt2");
    Map<String, Tensor> shortened = new LinkedHashMap<>();
    SafeTensors.read(model.resolve("model.safetensors"))
        .tensors()
        .forEach((key, tensor) -> shortened.put(key.replace("transformer.", ""), tensor));
    shortened.put("h.0.attn.bias", Tensor.ofFloats(new long[] {1, 1, 2, 2}, new float[4]));
    SafeTensors.write(model.resolve("model.safetensors"), shortened, Map.of("format", "pt"));
    Graph graph = graph(model);
    LinearSite layer = Sites.of(graph).linear("transformer.h.0.attn.c_attn").orElseThrow();
    assertThat(layer.storedTransposed()).isFalse();
    assertThat(graph.parameters()).contains("h.0.attn.c_attn.bias").doesNotContain("h.0.attn.bias");
    GoldenCase golden = GoldenCase.of("families", "gpt2");
    try (Program program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      Tensor logits = program.run(golden.inputs()).get("logits");
      float[] expected = golden.outputs().get("logits").toFloats();
      assertThat(logits.toFloats()[5]).isCloseTo(expected[5], within(1e-5f));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"gpt2", "gpt2-cls", "llama", "llama-tied", "llama-cls", "bf16-llama"})
  void changedWeightsAreWrittenAndReadBack(String name) throws IOException {
    HuggingFaceFormat format = new HuggingFaceFormat();
    Checkpoint origin = format.read(FAMILIES.resolve(name));
    String changed = origin.graph().parameters().get(3);
    GraphEditor editor = origin.graph().edit();
    Tensor old = origin.graph().initializer(changed);
    editor.initializer(changed, Tensor.ofFloats(old.shape(), new float[(int) old.size()]));
    Path target = folder.resolve("written");
    format.write(origin, editor.build(), target);
    Map<String, Tensor> before =
        new LinkedHashMap<>(
            SafeTensors.read(FAMILIES.resolve(name + "/model.safetensors")).tensors());
    Map<String, Tensor> after =
        new LinkedHashMap<>(SafeTensors.read(target.resolve("model.safetensors")).tensors());
    assertThat(after.keySet()).isEqualTo(before.keySet());
    assertThat(after.remove(changed).toFloats()).containsOnly(0f);
    before.remove(changed);
    before.forEach((key, tensor) -> assertThat(after.get(key).data()).isEqualTo(tensor.data()));
    assertThat(target.resolve("config.json"))
        .hasSameBinaryContentAs(FAMILIES.resolve(name + "/config.json"));
    assertThat(graph(target).parameters())
        .containsExactlyInAnyOrderElementsOf(origin.graph().parameters());
  }

  @ParameterizedTest
  @ValueSource(strings = {"gpt2", "gpt2-cls", "llama-tied", "llama-cls", "mistral", "qwen3"})
  void onnxRuntimeGivesTheSameNumbers(String name) throws IOException {
    GoldenCase golden = GoldenCase.of("families", name);
    Graph graph = new HuggingFaceFormat().read(golden.folder(), true).graph();
    try (Program program = new OnnxRuntimeEngine().compile(graph)) {
      assertThat(golden.errors(program)).allSatisfy((k, v) -> assertThat(v).isLessThan(1));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          gpt2      | reorder_and_upcast_attn | true
          gpt2      | add_cross_attention     | true
          gpt2      | activation_function     | "mish"
          gpt2      | n_head                  | 5
          gpt2      | rotary_dim              | 8
          gpt2-cls  | pad_token_id            | null
          llama     | rope_scaling            | {"rope_type": "dynamic", "factor": 2.0}
          llama     | rope_scaling            | {"type": "yarn", "factor": 2.0}
          llama     | rope_scaling            | {"rope_type": "linear"}
          llama     | rope_scaling            | {"rope_type": "linear", "factor": 2.0, "beta_fast": 32}
          llama     | rope_scaling            | {"rope_type": "llama3", "factor": 2.0}
          llama     | rope_scaling            | 2
          llama     | partial_rotary_factor   | 0.5
          llama     | sliding_window          | 4
          llama     | hidden_act              | "laplace"
          llama     | head_dim                | 7
          llama     | num_key_value_heads     | 3
          llama     | layer_types             | ["sliding_attention", "full_attention"]
          mistral   | attention_bias          | true
          mistral   | sliding_window          | 0
          qwen2     | use_sliding_window      | true
          qwen2     | attention_bias          | true
          qwen3     | mlp_bias                | true
          """)
  void whatIsNotSupportedStopsTheImportByName(String name, String key, String value)
      throws IOException {
    Path model = copy(name);
    Path file = model.resolve("config.json");
    ObjectNode config = (ObjectNode) JSON.readTree(file.toFile());
    config.set(key, JSON.readTree(value));
    JSON.writeValue(file.toFile(), config);
    assertThatThrownBy(() -> graph(model))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining(key);
  }

  private Path copy(String name) throws IOException {
    Path target = Files.createDirectory(folder.resolve(name));
    for (String file : List.of("config.json", "model.safetensors")) {
      Files.copy(FAMILIES.resolve(name).resolve(file), target.resolve(file));
    }
    return target;
  }
}
