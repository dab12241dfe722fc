package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.inference.Predictor;
import ai.djl.modality.Classifications;
import ai.djl.repository.zoo.Criteria;
import ai.djl.repository.zoo.ZooModel;
import ai.djl.translate.DeferredTranslatorFactory;
import dev.langchain4j.model.embedding.onnx.OnnxEmbeddingModel;
import dev.langchain4j.model.embedding.onnx.PoolingMode;
import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.data.TextTokenizer;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.DType;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A trained tiny encoder exported in every form, and used by those it is exported for. */
class ExportCommandTest {
  private static final String TEXT = "my parcel was late";

  @TempDir static Path folder;
  private static Path model;
  private static Path rows;
  private static Path adapter;

  @BeforeAll
  static void train() throws IOException {
    model = TinyModel.encoder(folder.resolve("model"));
    rows = TinyModel.rows(folder.resolve("rows.tsv"));
    Path recipe =
        Files.writeString(
            folder.resolve("recipe.yaml"),
            """
            model: %s
            output: %s
            adapter: {method: lora, rank: 4, targets: [intermediate.dense, query]}
            data: {train: %s}
            training: {epochs: 12, batch_size: 4, learning_rate: 0.01, seed: 3}
            """
                .formatted(model, folder.resolve("run"), rows));
    Cli cli = Cli.run("train", recipe);
    assertThat(cli.exit()).as(cli.err()).isZero();
    adapter = folder.resolve("run/adapter");
  }

  private static Path export(String name, Object... options) {
    Path output = folder.resolve(name);
    Object[] arguments = new Object[options.length + 7];
    System.arraycopy(
        new Object[] {"export", model, "--adapter", adapter, "--output", output, "--format=onnx"},
        0,
        arguments,
        0,
        7);
    System.arraycopy(options, 0, arguments, 7, options.length);
    Cli cli = Cli.run(arguments);
    assertThat(cli.exit()).as(cli.err()).isZero();
    return output;
  }

  /** The mean of the tokens' vectors, of length 1, as the adapted model gives them here. */
  private static float[] vector() {
    AdaptedModel adapted = Checkpoints.open(model).load(adapter);
    try (TextTokenizer tokenizer = adapted.base().tokenizer(128);
        Program program = TorchEngine.compile(adapted.graph(), CompileOptions.evaluation())) {
      long[] ids = tokenizer.encode(TEXT, null).ids();
      long[] shape = {1, ids.length};
      long[] ones = new long[ids.length];
      java.util.Arrays.fill(ones, 1);
      Map<String, Tensor> inputs = new java.util.HashMap<>();
      inputs.put("input_ids", Tensor.ofLongs(shape, ids));
      inputs.put("attention_mask", Tensor.ofLongs(shape, ones));
      inputs.put("token_type_ids", Tensor.ofLongs(shape, new long[ids.length]));
      inputs.keySet().retainAll(program.inputNames());
      Tensor tokens = program.run(inputs).get("last_hidden_state");
      int width = Math.toIntExact(tokens.dim(2));
      float[] flat = tokens.toFloats();
      double[] sum = new double[width];
      double squares = 0;
      for (int i = 0; i < width; i++) {
        for (int t = 0; t < ids.length; t++) {
          sum[i] += flat[t * width + i] / ids.length;
        }
        squares += sum[i] * sum[i];
      }
      float[] vector = new float[width];
      for (int i = 0; i < width; i++) {
        vector[i] = (float) (sum[i] / Math.sqrt(squares));
      }
      return vector;
    }
  }

  @Test
  void langChain4jAndDjlEmbedWithTheExportedEncoder() throws Exception {
    Path encoder = export("encoder", "--task", "feature-extraction", "--opset", 17);
    float[] expected = vector();
    float[] inLangChain =
        new OnnxEmbeddingModel(
                encoder.resolve("model.onnx"), encoder.resolve("tokenizer.json"), PoolingMode.MEAN)
            .embed(TEXT)
            .content()
            .vector();
    assertThat(inLangChain).containsExactly(expected, within(1e-5f));
    Criteria<String, float[]> criteria =
        Criteria.builder()
            .setTypes(String.class, float[].class)
            .optModelPath(encoder)
            .optTranslatorFactory(new DeferredTranslatorFactory()) // as serving.properties says
            .build();
    try (ZooModel<String, float[]> zoo = criteria.loadModel();
        Predictor<String, float[]> predictor = zoo.newPredictor()) {
      assertThat(zoo.getNDManager().getEngine().getEngineName()).isEqualTo("OnnxRuntime");
      assertThat(predictor.predict(TEXT)).containsExactly(expected, within(1e-5f));
    }
    Graph graph = Checkpoints.open(encoder.resolve("model.onnx")).graph();
    // The names that Spring AI's TransformersEmbeddingModel gives and takes by default.
    assertThat(graph.outputs()).extracting(Value::name).containsExactly("last_hidden_state");
    assertThat(graph.requiredInputs()).isSubsetOf("input_ids", "attention_mask", "token_type_ids");
  }

  @Test
  void djlClassifiesWithTheExportedFolderAndItsCardSaysWhatItIs() throws Exception {
    Path classifier = export("classifier", "--data", rows);
    Criteria<String, Classifications> criteria =
        Criteria.builder()
            .setTypes(String.class, Classifications.class)
            .optModelPath(classifier)
            .optTranslatorFactory(new DeferredTranslatorFactory())
            .build();
    try (ZooModel<String, Classifications> zoo = criteria.loadModel();
        Predictor<String, Classifications> predictor = zoo.newPredictor()) {
      assertThat(predictor.predict("the bill is wrong").best().getClassName()).isEqualTo("money");
    }
    assertThat(classifier.resolve("README.md"))
        .content()
        .contains("ONNX, opset 21", "accuracy 1.0000", "8 rows of `rows.tsv`")
        .contains("2 classes: delivery, money", "baseSha256", "## Limits");
    Cli.run("export", model, "--format", "onnx", "--output", classifier).assertFailed(1);
    export("classifier", "--overwrite"); // its own kind of folder
  }

  @Test
  void float16KeepsInputsAndOutputsAndHalvesTheWeights() throws IOException {
    Path whole = export("whole.onnx");
    Path half = export("half.onnx", "--fp16", "--opset", 18);
    Graph graph = Checkpoints.open(half).graph();
    assertThat(graph.outputs()).extracting(Value::dtype).containsOnly(DType.FLOAT32);
    long wide =
        graph.initializers().values().stream()
            .filter(t -> t.dtype() == DType.FLOAT32)
            .mapToLong(Tensor::size)
            .sum();
    assertThat(wide).isLessThan(graph.parameterCount() / 20); // norms compute in float32
    Map<String, Tensor> probe = ProbeInputs.of(graph);
    try (Program narrow = InferenceEngines.named("onnxruntime").open(half);
        Program full = InferenceEngines.named("onnxruntime").open(whole)) {
      assertThat(OutputDifference.largest(full.run(probe), narrow.run(probe)))
          .isPositive()
          .isLessThan(1e-2);
    }
  }

  @Test
  void axesAreFixedAndSetFree() {
    Graph fixed = Checkpoints.open(export("fixed.onnx", "--batch", 1, "--sequence", 16)).graph();
    assertThat(fixed.inputs())
        .extracting(Value::shape)
        .containsOnly(List.of(Dim.of(1), Dim.of(16)));
    assertThat(fixed.outputs().get(0).shape()).startsWith(Dim.of(1));
    Graph free =
        Checkpoints.open(export("free.onnx", "--batch", "dynamic", "--sequence", "dynamic"))
            .graph();
    assertThat(free.inputs())
        .extracting(Value::shape)
        .containsOnly(List.of(Dim.of("batch"), Dim.of("sequence")));
  }

  @Test
  void inputsAndOutputsGetOtherNames() {
    Path named = export("named.onnx", "--rename", "input_ids=ids", "--rename", "logits=scores");
    Graph graph = Checkpoints.open(named).graph();
    assertThat(graph.requiredInputs()).contains("ids").doesNotContain("input_ids");
    assertThat(graph.outputs()).extracting(Value::name).contains("scores").doesNotContain("logits");
    Cli unknown =
        Cli.run(
            "export",
            model,
            "--format=onnx",
            "--rename",
            "ids=x",
            "--output",
            folder.resolve("x.onnx"));
    unknown.assertFailed(1);
    assertThat(unknown.lastLine()).contains("no input or output 'ids'", "input_ids");
  }

  @Test
  void aSafeTensorsFolderIsReadAgainAndHasACard() {
    Path bert = TinyModel.FAMILIES.resolve("bert");
    Path output = folder.resolve("st");
    Cli cli = Cli.run("export", bert, "--format", "safetensors", "--output", output, "--json");
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(cli.out()).contains("\"maxOutputDifference\":0.0");
    assertThat(output.resolve("README.md")).content().contains("SafeTensors", "not measured");
    Cli headed =
        Cli.run(
            "export",
            model,
            "--adapter",
            adapter,
            "--format=safetensors",
            "--output",
            folder.resolve("no"));
    headed.assertFailed(1);
    assertThat(headed.lastLine()).contains("config.json cannot express", "as ONNX");
    assertThat(folder.resolve("no")).doesNotExist();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--format=onnx --opset 16 --output a.onnx",
        "--format=onnx --batch none --output a.onnx",
        "--format=onnx --sequence 0 --output a.onnx",
        "--format=onnx --task tagging --output a.onnx",
        "--format=onnx --data rows.tsv --output a.onnx",
        "--format=safetensors --fp16 --output a",
        "--format=safetensors --output a.onnx"
      })
  void whatDoesNotGoTogetherIsWrongUsage(String options) {
    String[] words = ("export no-such-model " + options).split(" ");
    Cli.run((Object[]) words).assertFailed(2);
  }

  /** With an operator that the training engine lacks, and with one that rounds to 16 bits. */
  @ParameterizedTest
  @ValueSource(strings = {"bert-optimized", "bert-fp16"})
  void anUnchangedOnnxFileIsRewrittenWhateverItComputesWith(String name) {
    Path source = TinyModel.ONNX.resolve(name);
    Path output = folder.resolve(name + "/model.onnx");
    Cli cli =
        Cli.run("export", source.resolve("model.onnx"), "--format", "onnx", "--output", output);
    assertThat(cli.exit()).as(cli.err()).isZero();
    Path results = folder.resolve(name + ".safetensors");
    Path inputs = source.resolve("inputs.safetensors");
    Cli run =
        Cli.run("run", output, "--engine", "onnxruntime", "--output", results, "--inputs", inputs);
    assertThat(run.exit()).as(run.err()).isZero();
    Map<String, Tensor> expected = TinyModel.tensors(source.resolve("outputs.safetensors"));
    double[] actual = TinyModel.tensors(results).get("logits").toDoubles();
    double[] wanted = expected.get("logits").toDoubles();
    for (int i = 0; i < wanted.length; i++) {
      assertThat(Math.abs(actual[i] - wanted[i])).isLessThan(name.endsWith("16") ? 5e-3 : 1e-5);
    }
  }

  @Test
  void aDifferenceAboveTheToleranceWritesNothing() {
    Path output = folder.resolve("above.onnx");
    Path bert = TinyModel.FAMILIES.resolve("bert");
    Cli cli =
        Cli.run("export", bert, "--format", "onnx", "--output", output, "--tolerance", "1e-12");
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("more than the tolerance 1.00e-12");
    assertThat(output).doesNotExist();
  }
}
