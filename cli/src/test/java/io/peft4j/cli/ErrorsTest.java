package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.PretrainedModel;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Everything that can be wrong with what the command is given: one line, the right exit code. */
class ErrorsTest {
  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "conjure",
        "run",
        "run model",
        "run model --inputs a --output b --engine tea",
        "run model --inputs a --output b --engine onnxruntime --grad",
        "run model other --inputs a --output b",
        "inspect --fast model",
        "inspect",
        "train",
        "merge model --output out",
        "export model --output out",
        "export model --format gguf --output out",
        "evaluate model",
        "quickstart here",
        "merge model --adapter a --output b --tolerance small",
      })
  void wrongUsageIsSaidInOneLineWithCode2(String arguments) {
    Cli cli = Cli.run((Object[]) (arguments.isEmpty() ? new String[0] : arguments.split(" ")));
    assertOneError(cli, 2);
    assertThat(cli.lastLine()).contains("--help");
  }

  @Test
  void aModelThatIsNotThere() {
    failed("absent does not exist", "inspect", folder.resolve("absent"));
  }

  @Test
  void aFolderThatIsNoModel() {
    failed("of no known format", "inspect", folder);
  }

  @Test
  void anOnnxFileCutShort() throws IOException {
    byte[] whole = Files.readAllBytes(TinyModel.ONNX.resolve("bert-opset17/model.onnx"));
    Path file = Files.write(folder.resolve("cut.onnx"), Arrays.copyOf(whole, 50_000));
    failed("cut.onnx: it is no ONNX file, or is cut short", "inspect", file);
  }

  @Test
  void aSafeTensorsFileCutShort() throws IOException {
    Path model = TinyModel.encoder(folder.resolve("model"));
    Path weights = model.resolve("model.safetensors");
    Files.write(weights, Arrays.copyOf(Files.readAllBytes(weights), 20_000));
    failed("model.safetensors", "inspect", model);
  }

  @ParameterizedTest
  @ValueSource(ints = {-1, 1000})
  void externalDataMissingOrTooShort(int bytes) throws IOException {
    Path model = Files.createDirectory(folder.resolve("external"));
    Path source = TinyModel.ONNX.resolve("bert-external");
    Files.copy(source.resolve("model.onnx"), model.resolve("model.onnx"));
    if (bytes > 0) {
      Files.write(
          model.resolve("model.onnx.data"),
          Arrays.copyOf(Files.readAllBytes(source.resolve("model.onnx.data")), bytes));
    }
    failed("external data of tensor", "inspect", model.resolve("model.onnx"));
  }

  @Test
  void anOperatorThatTheEngineLacksIsNamed() throws IOException {
    GraphEditor editor = new GraphEditor("odd");
    editor.input(Value.of("x", DType.FLOAT32, 4));
    editor.opset("com.example", 1);
    editor.add(
        new Node(
            "/magic",
            "com.example",
            "Conjure",
            List.of("x"),
            List.of("y"),
            Map.of(),
            "",
            Map.of()));
    editor.output(Value.of("y", DType.FLOAT32, 4));
    Path file = folder.resolve("odd.onnx");
    PretrainedModel.of(editor.build()).save(file);
    Path inputs = folder.resolve("x.safetensors");
    SafeTensors.write(inputs, Map.of("x", Tensor.ofFloats(new long[] {4}, 1, 2, 3, 4)), Map.of());
    failed(
        "com.example::Conjure", "run", file, "--inputs", inputs, "--output", folder.resolve("y"));
    assertThat(folder.resolve("y")).doesNotExist();
    assertThat(Cli.run("inspect", file).out()).contains("not runnable").contains("Conjure");
  }

  @Test
  void anUnknownInputIsNamedWithTheKnownOnes() throws IOException {
    Path inputs = folder.resolve("in.safetensors");
    SafeTensors.write(inputs, Map.of("inputs_ids", Tensor.vector(1, 2)), Map.of());
    failed(
        "input 'inputs_ids' is unknown; the model takes input_ids, attention_mask",
        "run",
        TinyModel.FAMILIES.resolve("bert"),
        "--inputs",
        inputs,
        "--output",
        folder.resolve("y"));
  }

  @Test
  void gradWithoutLabels() {
    Path model = TinyModel.FAMILIES.resolve("bert");
    failed(
        "needs the tensor 'labels'",
        "run",
        model,
        "--grad",
        "--inputs",
        model.resolve("inputs.safetensors"),
        "--output",
        folder.resolve("y"));
  }

  @Test
  void anAdapterIsReadBeforeTheInputs() {
    failed(
        "holds no adapter",
        "run",
        TinyModel.FAMILIES.resolve("bert"),
        "--adapter",
        folder,
        "--inputs",
        "absent",
        "--output",
        folder.resolve("y"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "adapter.targets='[intermediate.dense, outputt.dense]' | 'outputt.dense' | output.dense",
        "adapter.targets=nothing.like.it | nothing.like.it | nearest",
        "adapter.targets='.*\\.nowhere' | nowhere | nearest",
        "adapter.rank=0 | --set adapter.rank=0: rank must be at least 1 | was 0",
        "adapter.ranks=4 | the key 'adapter.ranks' is unknown | 'adapter.rank'",
        "training.epochs=many | must be a whole number | many",
        "training.schedule=zigzag | must be one of constant, linear, cosine | zigzag",
        "training.learning_rate=-1 | learning_rate must be a positive number | -1",
        "adapter.rank_pattern={query: 2.5} | rank_pattern must hold whole numbers | 2.5",
        "adapter.method=freeze | must be one of lora, freeze-mask | 'freeze'",
        "adapter.method=freeze-mask | a freeze mask needs at least one selection | recipe.yaml",
        "data.train=absent.tsv | absent.tsv does not exist | check the path",
        "model=absent | model absent does not exist | check the path",
      })
  void aRecipeThatIsWrong(String setting, String first, String second) throws IOException {
    Path recipe = recipe("");
    Cli cli = Cli.run("train", recipe, "--set", setting.replace("'", ""));
    assertOneError(cli, 1);
    assertThat(cli.lastLine()).contains(first.strip()).contains(second.strip());
    assertThat(folder.resolve("run")).doesNotExist();
  }

  @Test
  void aTypoInARecipeNamesTheLine() throws IOException {
    Path recipe = recipe("training:\n  epoch: 3\n");
    Cli cli = Cli.run("train", recipe);
    assertOneError(cli, 1);
    assertThat(cli.lastLine()).contains("recipe.yaml, line 5").contains("'training.epochs'");
  }

  @Test
  void aRecipeThatIsNoYaml() throws IOException {
    Cli cli = Cli.run("train", recipe("training: {epochs: 3\n"));
    assertOneError(cli, 1);
    assertThat(cli.lastLine()).contains("recipe.yaml, line ").contains("no valid YAML");
  }

  @Test
  void aSectionThatIsNone() throws IOException {
    Cli cli = Cli.run("train", recipe("training: 3\n"));
    assertOneError(cli, 1);
    assertThat(cli.lastLine())
        .contains("line 4: training is a section; its keys are training.epochs");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "'' | rows.tsv",
        "text\\tlabel | rows.tsv",
        "text\\tlabel\\nthe bill is wrong\\tmoney\\nthe bill\\t\\n | line 3",
        "text\\tkind\\nthe bill is wrong\\tmoney\\n | 'label'",
        "text\\tlabel\\nthe bill is wrong\\tmoney\\n | at least 2 labels",
      })
  void dataThatCannotBeTrainedOn(String content, String message) throws IOException {
    Path recipe = recipe("");
    Files.writeString(
        folder.resolve("rows.tsv"), content.replace("\\t", "\t").replace("\\n", "\n"));
    Cli cli = Cli.run("train", recipe);
    assertOneError(cli, 1);
    assertThat(cli.lastLine()).contains(message);
    assertThat(folder.resolve("run")).doesNotExist();
  }

  @Test
  void aLabelThatTrainingNeverSaw() throws IOException {
    Path recipe = recipe("");
    Path other = Files.writeString(folder.resolve("dev.tsv"), "text\tlabel\nthe cup\tgifts\n");
    Cli cli = Cli.run("train", recipe, "--set", "data.validation=" + other);
    assertOneError(cli, 1);
    assertThat(cli.lastLine()).contains("dev.tsv, line 2: label 'gifts' was not seen in training");
    assertThat(folder.resolve("run")).doesNotExist();
  }

  @Test
  void aLossThatIsNotFinite() throws IOException {
    Path recipe = recipe("training: {learning_rate: 1.0e+30, clip_norm: 0, epochs: 20}\n");
    Cli cli = Cli.run("train", recipe);
    assertOneError(cli, 1);
    assertThat(cli.lastLine()).contains("lower the learning rate");
    assertThat(folder.resolve("run/adapter")).doesNotExist();
  }

  @Test
  void resultsNeverReplaceWhatIsNone() throws IOException {
    Path keep = Files.createDirectory(folder.resolve("mine"));
    Files.writeString(keep.resolve("diary.txt"), "dear diary");
    failed("is there already", "quickstart", "--output", keep);
    Path model = TinyModel.METHODS.resolve("base-bert");
    Path adapter = TinyModel.METHODS.resolve("peft/lora-ffn");
    failed("is there already", "merge", model, "--adapter", adapter, "--output", keep);
    failed("is the model itself", "merge", model, "--adapter", adapter, "--output", model);
    try (Stream<Path> files = Files.list(keep)) {
      assertThat(files).containsExactly(keep.resolve("diary.txt"));
    }
  }

  @Test
  void aStackTraceOnlyWhenAskedFor() {
    assertThat(Cli.run("inspect", "absent").err()).doesNotContain("\tat ");
    Cli cli = Cli.run("inspect", "absent", "--stacktrace");
    assertThat(cli.err()).contains("\tat ");
    assertThat(cli.lastLine()).startsWith("peft4j: error: ");
  }

  /** A recipe that trains on eight rows; its first three lines are always the same. */
  private Path recipe(String more) throws IOException {
    Path model = TinyModel.encoder(folder.resolve("model"));
    Path rows = TinyModel.rows(folder.resolve("rows.tsv"));
    return Files.writeString(
        folder.resolve("recipe.yaml"),
        "model: %s\noutput: %s\ndata: {train: %s}\n%s"
            .formatted(model, folder.resolve("run"), rows, more));
  }

  private static void failed(String message, Object... arguments) {
    Cli cli = Cli.run(arguments);
    assertOneError(cli, 1);
    assertThat(cli.lastLine()).contains(message);
  }

  private static void assertOneError(Cli cli, int exit) {
    assertThat(cli.exit()).as(cli.err()).isEqualTo(exit);
    assertThat(cli.lastLine()).startsWith("peft4j: error: ");
    assertThat(cli.err().lines()).hasSize(1);
    assertThat(cli.lastLine()).doesNotContain("Exception").doesNotContain("io.peft4j");
    assertThat(cli.out()).isEmpty();
  }
}
