package io.peft4j.adapters.bottleneck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.FiniteDifferences;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Invertible adapters against their formulas, written out here, and against their inverses. */
class CouplingTest {
  private static final MethodCase CASE = MethodCase.peft("lora-ffn");
  private static final int HALF = 16;

  @TempDir Path folder;

  /** Moves every trained value at random. */
  private static Graph moved(Graph graph) {
    Random random = new Random(11);
    GraphEditor editor = graph.edit();
    for (String name : graph.trainable()) {
      Tensor start = graph.initializer(name);
      float[] numbers = start.toFloats();
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] += 0.3f * (float) random.nextGaussian();
      }
      editor.initializer(name, Tensor.ofFloats(start.shape(), numbers));
    }
    return editor.build();
  }

  private static Bottleneck with(Coupling coupling) {
    return Bottleneck.pfeiffer()
        .optReduction(Reduction.of(8))
        .optNonLinearity("tanh")
        .optCoupling(coupling)
        .build();
  }

  // --- the formulas ---

  /** One row through linear(tanh(linear(x))). */
  private static double[] network(Graph graph, String prefix, double[] x) {
    double[] h = linear(graph, prefix + ".0", x);
    return linear(graph, prefix + ".2", Arrays.stream(h).map(Math::tanh).toArray());
  }

  private static double[] linear(Graph graph, String name, double[] x) {
    double[] weight = graph.initializer(name + ".weight").toDoubles();
    double[] y = graph.initializer(name + ".bias").toDoubles();
    for (int o = 0; o < y.length; o++) {
      for (int i = 0; i < x.length; i++) {
        y[o] += weight[o * x.length + i] * x[i];
      }
    }
    return y;
  }

  private static double factor(double s) {
    return Math.exp(5 * 0.636 * Math.atan(s / 5));
  }

  private static double[] forward(Coupling.Form form, Graph graph, String prefix, double[] x) {
    double[] x1 = Arrays.copyOfRange(x, 0, HALF);
    double[] x2 = Arrays.copyOfRange(x, HALF, 2 * HALF);
    boolean isNice = form == Coupling.Form.NICE;
    double[] a = network(graph, prefix + (isNice ? "F" : "s2"), x2);
    double[] y = new double[2 * HALF];
    for (int i = 0; i < HALF; i++) {
      y[i] = isNice ? x1[i] + a[i] : factor(a[i]) * x1[i] + a[HALF + i];
    }
    double[] b = network(graph, prefix + (isNice ? "G" : "s1"), Arrays.copyOf(y, HALF));
    for (int i = 0; i < HALF; i++) {
      y[HALF + i] = isNice ? x2[i] + b[i] : factor(b[i]) * x2[i] + b[HALF + i];
    }
    return y;
  }

  private static double[] inverse(Coupling.Form form, Graph graph, String prefix, double[] y) {
    double[] y1 = Arrays.copyOf(y, HALF);
    boolean isNice = form == Coupling.Form.NICE;
    double[] b = network(graph, prefix + (isNice ? "G" : "s1"), y1);
    double[] x = new double[2 * HALF];
    for (int i = 0; i < HALF; i++) {
      double y2 = y[HALF + i];
      x[HALF + i] = isNice ? y2 - b[i] : (y2 - b[HALF + i]) / factor(b[i]);
    }
    double[] a =
        network(graph, prefix + (isNice ? "F" : "s2"), Arrays.copyOfRange(x, HALF, 2 * HALF));
    for (int i = 0; i < HALF; i++) {
      x[i] = isNice ? y1[i] - a[i] : (y1[i] - a[HALF + i]) / factor(a[i]);
    }
    return x;
  }

  private interface Row {
    double[] of(double[] x);
  }

  private static double[] byRow(double[] values, Row row) {
    double[] all = values.clone();
    for (int from = 0; from < all.length; from += 2 * HALF) {
      double[] one = row.of(Arrays.copyOfRange(values, from, from + 2 * HALF));
      System.arraycopy(one, 0, all, from, one.length);
    }
    return all;
  }

  @ParameterizedTest
  @EnumSource(Coupling.Form.class)
  void itComputesItsFormulaAndTakesItBack(Coupling.Form form) {
    Attachment at = Attachment.begin(MethodCase.bert().graph(), "x", 3);
    CouplingBlock block = CouplingBlock.of(new Coupling(form, 4), "tanh", at);
    String x = at.embeddings();
    String y = block.forward(x);
    String back = block.inverse(y);
    for (String value : List.of(x, y, back)) {
      at.editor().output(Value.of(value, DType.FLOAT32));
    }
    Graph graph = moved(at.end(with(null), "x").graph());
    CompileOptions options = CompileOptions.evaluation().withPrecision(DType.FLOAT64);
    try (TorchProgram program = TorchEngine.compile(graph, options)) {
      Map<String, Tensor> values = program.run(CASE.inputs());
      double[] before = values.get(x).toDoubles();
      String prefix = "bert.invertible_adapters.x.";
      double[] expected = byRow(before, row -> forward(form, graph, prefix, row));
      // numbers in a graph are float32: 5 × 0.636 is off by 1e-7 of it
      assertThat(values.get(y).toDoubles()).containsExactly(expected, within(2e-6));
      assertThat(values.get(back).toDoubles()).containsExactly(before, within(1e-9));
      assertThat(expected[0]).isNotCloseTo(before[0], within(1e-2));
    }
  }

  @ParameterizedTest
  @CsvSource({"NICE, lora-gpt2", "GLOW, lora-gpt2", "NICE, lora-llama", "GLOW, lora-llama"})
  void aLanguageModelTakesItBackBeforeItsOutputLayer(Coupling.Form form, String name) {
    MethodCase golden = MethodCase.peft(name);
    AdaptedModel adapted = golden.base().attach(with(new Coupling(form, 4)));
    Graph graph = moved(adapted.graph());
    Map<String, Tensor> outputs = MethodCase.run(graph, golden.inputs());
    boolean isLlama = name.endsWith("llama");
    String prefix = (isLlama ? "model" : "transformer") + ".invertible_adapters.default.";
    double[] read =
        byRow(
            outputs.get("last_hidden_state").toDoubles(), row -> inverse(form, graph, prefix, row));
    double[] weight =
        graph.initializer(isLlama ? "lm_head.weight" : "transformer.wte.weight").toDoubles();
    double[] logits = outputs.get("logits").toDoubles();
    int entries = weight.length / (2 * HALF);
    for (int i = 0; i < logits.length; i++) {
      double expected = 0;
      for (int k = 0; k < 2 * HALF; k++) {
        expected += weight[i % entries * 2 * HALF + k] * read[i / entries * 2 * HALF + k];
      }
      assertThat(logits[i]).as("logit %d", i).isCloseTo(expected, within(1e-4));
    }
  }

  @ParameterizedTest
  @EnumSource(Coupling.Form.class)
  void gradientsOfALanguageModelAgreeWithFiniteDifferences(Coupling.Form form) {
    MethodCase golden = MethodCase.peft("lora-llama");
    AdaptedModel adapted = golden.base().attach(with(new Coupling(form, 4)));
    FiniteDifferences.checkSome(golden, adapted, 1);
  }

  // --- files and engines ---

  static Stream<String> keys(String... names) {
    return Arrays.stream(names)
        .flatMap(name -> Stream.of(name + ".0", name + ".2"))
        .flatMap(layer -> Stream.of(layer + ".weight", layer + ".bias"))
        .map(key -> "bert.invertible_adapters.default." + key);
  }

  @Test
  void glowIsStoredUnderTheKeysOfTheLibrary() {
    AdaptedModel adapted = MethodCase.bert().attach(with(Coupling.glow(4)), 3);
    adapted.save(folder.resolve("glow"));
    Map<String, Tensor> stored =
        SafeTensors.read(folder.resolve("glow/adapter.safetensors")).tensors();
    assertThat(stored.keySet().stream().filter(key -> key.contains("invertible")))
        .containsExactlyInAnyOrderElementsOf(keys("s1", "s2").toList());
    String prefix = "bert.invertible_adapters.default.";
    assertThat(stored.get(prefix + "s1.0.weight").shape()).containsExactly(4, 16);
    assertThat(stored.get(prefix + "s1.2.weight").shape()).containsExactly(32, 4);
    AdaptedModel read = MethodCase.bert().load(folder.resolve("glow"));
    assertThat(read.adapter().method()).isEqualTo(adapted.adapter().method());
  }

  @Test
  void theFormOfTheLibrarysFirstVersionIsRead() throws IOException {
    AdaptedModel adapted = MethodCase.bert().attach(with(Coupling.glow(4)), 3);
    Path saved = folder.resolve("old");
    adapted.save(saved);
    Path config = saved.resolve("adapter_config.json");
    String text = Files.readString(config);
    String old =
        text.replaceFirst(
                "\"inv_adapter\" : \"glow\"",
                "\"invertible_adapter\": {\"block_type\": \"glow\", \"reduction_factor\": 4.0}")
            .replaceFirst("\"inv_adapter_reduction_factor\" : 4.0,", "");
    assertThat(old).doesNotContain("inv_adapter");
    Files.writeString(config, old);
    assertThat(MethodCase.bert().load(saved).adapter().method())
        .isEqualTo(adapted.adapter().method());
  }

  @Test
  void onALanguageModelTheFolderNamesTheClassThatTakesItBack() throws IOException {
    MethodCase golden = MethodCase.peft("lora-llama");
    AdaptedModel adapted = golden.base().attach(with(Coupling.nice(2)), 3);
    Path saved = folder.resolve("language");
    adapted.save(saved);
    Path config = saved.resolve("adapter_config.json");
    assertThat(MethodCase.json(config).get("model_class").asText()).isEqualTo("LlamaAdapterModel");
    Tensor logits = MethodCase.run(adapted.graph(), golden.inputs()).get("logits");
    Graph read = golden.base().load(saved).graph();
    assertThat(MethodCase.run(read, golden.inputs()).get("logits").contentEquals(logits)).isTrue();
    Files.writeString(
        config, Files.readString(config).replace("LlamaAdapterModel", "LlamaForCausalLM"));
    PretrainedModel base = golden.base();
    assertThatThrownBy(() -> base.load(saved))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("adapter_config.json: field 'inv_adapter'")
        .hasMessageContaining("train it on a LlamaAdapterModel");
  }

  @Test
  void onnxRuntimeComputesTheSame() {
    Graph graph = moved(MethodCase.bert().attach(with(Coupling.glow(4)), 3).graph());
    Path file = folder.resolve("adapted.onnx");
    PretrainedModel.of(graph.edit().freezeAll().untag().build()).save(file);
    Tensor expected = MethodCase.run(graph, CASE.inputs()).get("logits");
    try (Program runtime = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).open(file)) {
      Tensor logits = runtime.run(CASE.inputs()).get("logits");
      MethodCase.assertClose("logits", logits, expected, 1e-4, 0);
    }
    Tensor again = MethodCase.run(Checkpoints.open(file).graph(), CASE.inputs()).get("logits");
    MethodCase.assertClose("read again", again, expected, 1e-5, 0);
  }

  @ParameterizedTest
  @ValueSource(doubles = {17, 1000})
  void aReductionThatLeavesNothingIsRefused(double reduction) {
    assertThatThrownBy(() -> MethodCase.bert().attach(with(Coupling.nice(reduction))))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("inv_adapter_reduction_factor");
  }
}
