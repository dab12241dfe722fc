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
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Everything that can be wrong with what the command is given: one line, the right exit code. */
class ErrorsTest {
  private static final String OVERWRITE = "--overwrite";

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
        "merge model --adapter a --output b --tolerance -1",
        "export model --format onnx --output b --tolerance NaN",
        "evaluate model --data rows.tsv --max-length 0",
        "evaluate model --data rows.tsv --max-length long",
        "predict model --data rows.tsv --engine tea",
        "train recipe --resume --overwrite",
        "train recipe --set adapter.rank",
      })
  void wrongUsageIsSaidInOneLineWithCode2(String arguments) {
    Cli cli = Cli.run((Object[]) (arguments.isEmpty() ? new String[0] : arguments.split(" ")));
    cli.assertFailed(2);
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
        "text\\tlabel\\nthe cup\\tLABEL_1\\nthe lamp\\tgifts\\n | line 3: label 'gifts' was not seen",
        "text\\tlabel\\nthe cup\\t\\n | line 2: the row has no label",
        "text\\tkind\\nthe cup\\tLABEL_1\\n | has no column 'label'; the nearest are 'kind'",
        "text\\tlabel\\n | holds no rows",
      })
  void dataThatCannotBeJudgedOn(String content, String message) throws IOException {
    Path rows =
        Files.writeString(
            folder.resolve("rows.tsv"), content.replace("\\t", "\t").replace("\\n", "\n"));
    failed(message, "evaluate", TinyModel.FAMILIES.resolve("bert"), "--data", rows);
  }

  @Test
  void resultsNeverReplaceWhatIsNone() throws IOException {
    Path keep = Files.createDirectory(folder.resolve("mine"));
    Files.writeString(keep.resolve("diary.txt"), "dear diary");
    failed("is there already", "quickstart", "--output", keep);
    Path model = TinyModel.METHODS.resolve("base-bert");
    Path adapter = TinyModel.METHODS.resolve("peft/lora-ffn");
    failed("is there already", "merge", model, "--adapter", adapter, "--output", keep);
    failed("is there already", "merge", model, "--adapter", adapter, "--output", keep, OVERWRITE);
    failed(
        "is the model itself", "merge", model, "--adapter", adapter, "--output", model, OVERWRITE);
    failed(
        "there is a folder of this name", "run", model, "--inputs", batch(model), "--output", keep);
    try (Stream<Path> files = Files.list(keep)) {
      assertThat(files).containsExactly(keep.resolve("diary.txt"));
    }
  }

  @Test
  void aModelIsReplacedOnlyWhenThatIsWanted() throws IOException {
    Path model = TinyModel.METHODS.resolve("base-bert");
    Path adapter = TinyModel.METHODS.resolve("peft/lora-ffn");
    Path output = folder.resolve("merged");
    Object[] merge = {"merge", model, "--adapter", adapter, "--output", output};
    assertThat(Cli.run(merge).exit()).isZero();
    Path mark = Files.writeString(output.resolve("vocab.txt"), "mark");
    failed("add --overwrite", merge);
    assertThat(mark).exists();
    Object[] again = {"merge", model, "--adapter", adapter, "--output", output, OVERWRITE};
    assertThat(Cli.run(again).exit()).isZero();
    assertThat(mark).doesNotExist();

    Path onnx = folder.resolve("model.onnx");
    Object[] export = {"export", model, "--format", "onnx", "--output", onnx};
    assertThat(Cli.run(export).exit()).isZero();
    byte[] before = Files.readAllBytes(onnx);
    failed("add --overwrite", export);
    assertThat(Files.readAllBytes(onnx)).isEqualTo(before);
  }

  @Test
  void aModelIsNotReplacedByOneThatIsMadeOfWhatItHolds() throws IOException {
    Path outer = TinyModel.encoder(folder.resolve("outer"));
    Path inner = TinyModel.encoder(outer.resolve("inner"));
    failed(
        "holds the model itself",
        "export",
        inner,
        "--format",
        "safetensors",
        "--output",
        outer,
        OVERWRITE);
    assertThat(inner.resolve("model.safetensors")).exists();
  }

  @Test
  void labelsThatDoNotFitTheScoresAreNotSpreadOverThem() {
    Path model = TinyModel.METHODS.resolve("base-bert");
    Map<String, Tensor> inputs = new TreeMap<>(TinyModel.tensors(batch(model)));
    int rows = (int) inputs.get("input_ids").dim(0);
    inputs.put("labels", Tensor.zeros(DType.FLOAT32, rows, 1));
    Path batch = folder.resolve("in.safetensors");
    SafeTensors.write(batch, inputs, Map.of());
    Path output = folder.resolve("out.safetensors");
    failed(
        "give labels of the shape [%d, 5]".formatted(rows),
        "run",
        model,
        "--grad",
        "--inputs",
        batch,
        "--output",
        output);
    assertThat(output).doesNotExist();
  }

  /** A batch that suits a model, in a file. */
  private Path batch(Path model) {
    Map<String, Tensor> inputs = new TreeMap<>(TinyModel.tensors(model.resolve("io.safetensors")));
    inputs.keySet().removeIf(name -> !name.endsWith("_ids") && !name.endsWith("_mask"));
    Path file = folder.resolve("batch.safetensors");
    SafeTensors.write(file, inputs, Map.of());
    return file;
  }

  private static void failed(String message, Object... arguments) {
    Cli cli = Cli.run(arguments);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains(message);
  }
}
