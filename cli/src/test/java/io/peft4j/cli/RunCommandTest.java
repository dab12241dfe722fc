package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.common.primitives.Floats;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RunCommandTest {
  private static final double TOLERANCE = 1e-5;

  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({
    "families, bert, pytorch",
    "families, bert, onnxruntime",
    "families, bert-token, pytorch",
    "families, mlp784, pytorch",
    "families, fp16-bert, pytorch",
    "onnx, bert-opset17/model.onnx, pytorch",
    "onnx, bert-opset17/model.onnx, onnxruntime",
    "onnx, llama/model.onnx, pytorch",
  })
  void outputsAreTheGoldenOnes(String kind, String name, String engine) throws IOException {
    Path root = kind.equals("onnx") ? TinyModel.ONNX : TinyModel.FAMILIES;
    Path model = root.resolve(name);
    Path golden = name.endsWith(".onnx") ? model.resolveSibling("") : model;
    Map<String, Tensor> outputs =
        run(model, golden.resolve("inputs.safetensors"), "--engine", engine);
    JsonNode meta = new ObjectMapper().readTree(golden.resolve("meta.json").toFile());
    Map<String, Tensor> expected = TinyModel.tensors(golden.resolve("outputs.safetensors"));
    TreeSet<String> names = new TreeSet<>(expected.keySet());
    names.removeIf(key -> key.startsWith("hidden_states."));
    assertThat(outputs.keySet()).isEqualTo(names);
    for (Map.Entry<String, Tensor> output : outputs.entrySet()) {
      Tensor actual = output.getValue();
      Tensor wanted = expected.get(output.getKey());
      if (meta.at("/compare/" + output.getKey() + "/positions").asText().equals("attention_mask")) {
        Tensor mask = TinyModel.tensors(golden.resolve("inputs.safetensors")).get("attention_mask");
        actual = unpadded(actual, mask);
        wanted = unpadded(wanted, mask);
      }
      assertClose(
          output.getKey(),
          actual,
          wanted,
          meta.at("/tolerance/atol").asDouble(),
          meta.at("/tolerance/rtol").asDouble());
    }
  }

  /** The vectors of the positions that count, [n, size]. */
  private static Tensor unpadded(Tensor tensor, Tensor mask) {
    long[] counts = mask.toLongs();
    float[] values = tensor.toFloats();
    int size = values.length / counts.length;
    List<Float> kept = new ArrayList<>();
    for (int i = 0; i < counts.length; i++) {
      if (counts[i] == 1) {
        kept.addAll(Floats.asList(values).subList(i * size, (i + 1) * size));
      }
    }
    return Tensor.ofFloats(new long[] {kept.size() / size, size}, Floats.toArray(kept));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"lora-ffn", "lora-qv", "lora-rslora", "lora-rank-pattern", "lora-modules_to_save"})
  void lossAndGradientsHaveTheAdapterFilesKeysAndPeftsValues(String name) {
    Path adapter = TinyModel.METHODS.resolve("peft").resolve(name);
    Map<String, Tensor> golden = TinyModel.tensors(adapter.resolve("io.safetensors"));
    Path batch = batch(golden, "input_ids", "attention_mask", "token_type_ids", "labels");
    Map<String, Tensor> outputs =
        run(TinyModel.METHODS.resolve("base-bert"), batch, "--adapter", adapter, "--grad");
    assertClose("logits", outputs.get("logits"), golden.get("logits"), TOLERANCE, 0);
    assertClose("loss", outputs.get("loss"), golden.get("loss"), TOLERANCE, 0);
    TreeMap<String, Tensor> gradients = new TreeMap<>(golden);
    gradients.keySet().removeIf(key -> !key.startsWith("grad."));
    gradients.forEach((key, value) -> assertClose(key, outputs.get(key), value, TOLERANCE, 1e-4));
    TreeSet<String> found = new TreeSet<>(outputs.keySet());
    found.removeIf(key -> !key.startsWith("grad."));
    assertThat(found).isEqualTo(gradients.keySet());
  }

  @Test
  void anAdapterRunsInOnnxRuntimeAlike() {
    Path adapter = TinyModel.METHODS.resolve("peft/lora-ffn");
    Map<String, Tensor> golden = TinyModel.tensors(adapter.resolve("io.safetensors"));
    Path batch = batch(golden, "input_ids", "attention_mask", "token_type_ids");
    Path base = TinyModel.METHODS.resolve("base-bert");
    Map<String, Tensor> outputs = run(base, batch, "--adapter", adapter, "--engine", "onnxruntime");
    assertClose("logits", outputs.get("logits"), golden.get("logits"), TOLERANCE, 0);
  }

  /** torch's loss and gradient norm in the first step of a training, for each kind of labels. */
  @ParameterizedTest
  @CsvSource({
    "full, BertForSequenceClassification",
    "multi-label, BertForSequenceClassification",
    "token-classification, BertForTokenClassification",
  })
  void lossAndGradientNormAreThoseOfTheFirstTrainingStep(String name, String architecture)
      throws IOException {
    Path golden = Path.of("src/test/resources/first-step").resolve(name);
    Path model = baseBert("BertForSequenceClassification", architecture);
    Object[] more =
        name.equals("full")
            ? new Object[] {"--grad"}
            : new Object[] {"--grad", "--adapter", golden};
    Map<String, Tensor> outputs = run(model, golden.resolve("batch.safetensors"), more);
    Map<String, Tensor> expected = TinyModel.tensors(golden.resolve("expected.safetensors"));
    assertClose("loss", outputs.get("loss"), expected.get("loss"), TOLERANCE, 0);
    double squares = 0;
    for (Map.Entry<String, Tensor> output : outputs.entrySet()) {
      if (output.getKey().startsWith("grad.")) {
        for (double value : output.getValue().toDoubles()) {
          squares += value * value;
        }
      }
    }
    double norm = expected.get("grad_norm").item();
    assertThat(Math.sqrt(squares)).isCloseTo(norm, within(1e-4 * norm));
  }

  @Test
  void aRegressionIsJudgedByItsSquaredError() throws IOException {
    Path golden = Path.of("src/test/resources/first-step/multi-label/batch.safetensors");
    Path model = baseBert("\"hidden_size\"", "\"problem_type\": \"regression\", \"hidden_size\"");
    Map<String, Tensor> outputs = run(model, golden, "--grad");
    float[] labels = TinyModel.tensors(golden).get("labels").toFloats();
    float[] scores = outputs.get("logits").toFloats();
    double sum = 0;
    for (int i = 0; i < scores.length; i++) {
      sum += Math.pow(scores[i] - labels[i], 2);
    }
    assertThat(outputs.get("loss").item()).isCloseTo(sum / scores.length, within(1e-5));
  }

  @Test
  void gradientsOfNarrowWeightsAreNotRounded() throws IOException {
    Path narrow = TinyModel.FAMILIES.resolve("fp16-bert");
    Path wide = folder.resolve("wide");
    Files.createDirectory(wide);
    Files.copy(narrow.resolve("config.json"), wide.resolve("config.json"));
    Map<String, Tensor> weights =
        new TreeMap<>(TinyModel.tensors(narrow.resolve("model.safetensors")));
    weights.replaceAll((name, weight) -> weight.cast(DType.FLOAT32));
    SafeTensors.write(wide.resolve("model.safetensors"), weights, Map.of());
    Map<String, Tensor> inputs =
        new TreeMap<>(TinyModel.tensors(narrow.resolve("inputs.safetensors")));
    inputs.put("labels", Tensor.vector(0, 2, 4));
    Map<String, Tensor> expected = run(wide, written(inputs), "--grad");
    Map<String, Tensor> outputs = run(narrow, written(inputs), "--grad");
    assertThat(outputs.keySet()).isEqualTo(expected.keySet());
    expected.forEach((name, tensor) -> assertClose(name, outputs.get(name), tensor, 1e-6, 1e-6));
  }

  /** The base model of the methods' golden cases, with a changed configuration. */
  private Path baseBert(String from, String to) throws IOException {
    Path base = TinyModel.METHODS.resolve("base-bert");
    Path model = Files.createDirectory(folder.resolve("model"));
    Files.copy(base.resolve("model.safetensors"), model.resolve("model.safetensors"));
    Files.writeString(
        model.resolve("config.json"),
        Files.readString(base.resolve("config.json")).replace(from, to));
    return model;
  }

  @Test
  void withoutAdapterEveryParameterHasItsGradient() {
    Path model = TinyModel.METHODS.resolve("base-bert");
    Map<String, Tensor> weights = TinyModel.tensors(model.resolve("model.safetensors"));
    Map<String, Tensor> golden =
        TinyModel.tensors(TinyModel.METHODS.resolve("peft/lora-ffn/io.safetensors"));
    Path batch = batch(golden, "input_ids", "labels");
    Map<String, Tensor> outputs = run(model, batch, "--grad");
    weights.forEach(
        (key, weight) ->
            assertThat(outputs.get("grad." + key).shape()).as(key).isEqualTo(weight.shape()));
    assertThat(outputs.keySet().stream().filter(k -> k.startsWith("grad.")))
        .hasSize(weights.size());
  }

  @Test
  void tokenLabelsOfACausalModelAreShifted() {
    Path model = TinyModel.ONNX.resolve("llama/model.onnx");
    Map<String, Tensor> inputs =
        new LinkedHashMap<>(TinyModel.tensors(TinyModel.ONNX.resolve("llama/inputs.safetensors")));
    Tensor ids = inputs.get("input_ids");
    inputs.put("labels", ids);
    Map<String, Tensor> outputs = run(model, written(inputs), "--grad");
    float[] logits = outputs.get("logits").toFloats();
    int classes = (int) outputs.get("logits").dim(2);
    int length = (int) ids.dim(1);
    long[] tokens = ids.toLongs();
    double sum = 0;
    int count = 0;
    for (int i = 0; i < tokens.length; i++) {
      if (i % length < length - 1) {
        float[] row = Arrays.copyOfRange(logits, i * classes, (i + 1) * classes);
        sum -= Math.log(Softmax.of(row)[(int) tokens[i + 1]]);
        count++;
      }
    }
    assertThat(outputs.get("loss").item()).isCloseTo(sum / count, within(1e-5));
  }

  @Test
  void labelsAreIgnoredWithoutGrad() {
    Map<String, Tensor> golden =
        TinyModel.tensors(TinyModel.METHODS.resolve("peft/lora-ffn/io.safetensors"));
    Path batch = batch(golden, "input_ids", "attention_mask", "labels");
    assertThat(run(TinyModel.METHODS.resolve("base-bert"), batch))
        .doesNotContainKey("loss")
        .containsKey("logits");
  }

  @Test
  void missingMaskAndTypesAreDefaultsForSafeTensorsAndErrorsForOnnx() {
    Map<String, Tensor> inputs =
        TinyModel.tensors(TinyModel.FAMILIES.resolve("bert/inputs.safetensors"));
    long[] ones = new long[(int) inputs.get("input_ids").size()];
    Arrays.fill(ones, 1);
    Map<String, Tensor> full = new LinkedHashMap<>(inputs);
    full.put("attention_mask", Tensor.ofLongs(inputs.get("input_ids").shape(), ones));
    full.put("token_type_ids", Tensor.zeros(DType.INT64, inputs.get("input_ids").shape()));
    Path model = TinyModel.FAMILIES.resolve("bert");
    Tensor explicit = run(model, written(full)).get("logits");
    Tensor implied = run(model, batch(inputs, "input_ids")).get("logits");
    assertThat(implied.contentEquals(explicit)).isTrue();

    Path onnx = TinyModel.ONNX.resolve("bert-opset17/model.onnx");
    Cli cli =
        Cli.run(
            "run", onnx, "--inputs", batch(inputs, "input_ids"), "--output", folder.resolve("x"));
    assertThat(cli.exit()).isEqualTo(1);
    assertThat(cli.lastLine()).contains("input 'attention_mask' is missing");
  }

  @Test
  void jsonIsOneDocument() throws IOException {
    Path model = TinyModel.FAMILIES.resolve("bert");
    Cli cli =
        Cli.run(
            "run",
            model,
            "--json",
            "--inputs",
            model.resolve("inputs.safetensors"),
            "--output",
            folder.resolve("o.safetensors"));
    assertThat(new ObjectMapper().readTree(cli.out()).get("logits").asText())
        .isEqualTo("float32[3,5]");
    assertThat(cli.err()).isEmpty();
  }

  private Map<String, Tensor> run(Path model, Path inputs, Object... more) {
    Path output = folder.resolve("outputs.safetensors");
    Object[] arguments = new Object[6 + more.length];
    System.arraycopy(
        new Object[] {"run", model, "--inputs", inputs, "--output", output}, 0, arguments, 0, 6);
    System.arraycopy(more, 0, arguments, 6, more.length);
    Cli cli = Cli.run(arguments);
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(cli.err()).isEmpty();
    return TinyModel.tensors(output);
  }

  private Path batch(Map<String, Tensor> tensors, String... names) {
    Map<String, Tensor> batch = new LinkedHashMap<>();
    for (String name : names) {
      batch.put(name, tensors.get(name));
    }
    return written(batch);
  }

  private Path written(Map<String, Tensor> tensors) {
    Path file = folder.resolve("batch.safetensors");
    SafeTensors.write(file, tensors, Map.of());
    return file;
  }

  private static void assertClose(
      String what, Tensor actual, Tensor expected, double atol, double rtol) {
    assertThat(actual).as(what).isNotNull();
    assertThat(actual.toString()).as(what).isEqualTo(expected.toString());
    double[] a = actual.toDoubles();
    double[] b = expected.toDoubles();
    for (int i = 0; i < a.length; i++) {
      assertThat(Math.abs(a[i] - b[i]))
          .as(what + " at " + i)
          .isLessThanOrEqualTo(atol + rtol * Math.abs(b[i]));
    }
  }
}
