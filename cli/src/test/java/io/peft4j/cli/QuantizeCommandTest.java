package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class QuantizeCommandTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir static Path shared;
  @TempDir Path folder;

  private static Path encoder;
  private static Path adapter;
  private static Path rows;

  @BeforeAll
  static void train() throws IOException {
    encoder = TinyModel.encoder(shared.resolve("encoder"));
    rows = TinyModel.rows(shared.resolve("rows.tsv"));
    adapter = shared.resolve("run/adapter");
    Path recipe = shared.resolve("recipe.yaml");
    Files.writeString(
        recipe,
        """
        model: %s
        output: %s
        data: {train: %s}
        training: {epochs: 15, batch_size: 4, learning_rate: 5e-3}
        """
            .formatted(encoder, shared.resolve("run"), rows));
    Cli trained = Cli.run("train", recipe);
    assertThat(trained.exit()).as(trained.err()).isZero();
  }

  @Test
  void aClassifierIsQuantisedComparedAndServable() throws IOException {
    Path output = folder.resolve("out/small.onnx");
    Cli run =
        Cli.run(
            "quantize",
            encoder,
            "--adapter",
            adapter,
            "--output",
            output,
            "--data",
            rows,
            "--json");
    assertThat(run.exit()).as(run.err()).isZero();
    JsonNode report = JSON.readTree(run.out());
    assertThat(report.get("bytesAfter").asLong()).isEqualTo(Files.size(output));
    assertThat(report.get("byteRatio").asDouble()).isLessThan(0.8); // tiny layers, long names
    assertThat(report.get("accuracyBefore").asDouble()).isEqualTo(accuracy(encoder, adapter));
    assertThat(report.get("accuracyAfter").asDouble()).isEqualTo(accuracy(output, null));
    assertThat(report.get("maxLogitDifference").asDouble()).isBetween(1e-6, 1.0);
    assertThat(report.get("quantized")).isNotEmpty();
    assertThat(folder.resolve("out")).isDirectoryContaining("glob:**/tokenizer.json");
    assertThat(folder.resolve("out/serving.properties")).content().contains("modelName=small");
    assertThat(folder.resolve("out/config.json")).content().contains("delivery");
  }

  private static double accuracy(Path model, Path withAdapter) throws IOException {
    Object[] plain = {"evaluate", model, "--data", rows, "--engine", "onnxruntime", "--json"};
    Object[] adapted = {
      "evaluate",
      model,
      "--data",
      rows,
      "--engine",
      "onnxruntime",
      "--json",
      "--adapter",
      withAdapter
    };
    Cli run = Cli.run(withAdapter == null ? plain : adapted);
    assertThat(run.exit()).as(run.err()).isZero();
    return JSON.readTree(run.out()).get("accuracy").asDouble();
  }

  @ParameterizedTest
  @CsvSource({"static, int8", "weight-only, int8", "weight-only, int4", "weight-only, nf4"})
  void aRecipeSaysTheSameAsOptions(String mode, String type) throws IOException {
    Path output = folder.resolve("small.onnx");
    Path recipe = folder.resolve("recipe.yaml");
    Files.writeString(
        recipe,
        """
        model: %s
        adapter: %s
        output: %s
        mode: %s
        type: %s
        %s
        data: {rows: %s}
        """
            .formatted(
                encoder,
                adapter,
                output,
                mode,
                type,
                mode.equals("static") ? "calibration: {rows: %s}".formatted(rows) : "",
                rows));
    Cli byRecipe = Cli.run("quantize", recipe);
    assertThat(byRecipe.exit()).as(byRecipe.err()).isZero();
    assertThat(byRecipe.out()).contains(mode + " " + type).contains("accuracy");
    byte[] first = Files.readAllBytes(output);
    String[] options = {
      "quantize",
      encoder.toString(),
      "--adapter",
      adapter.toString(),
      "--output",
      output.toString(),
      "--mode",
      mode,
      "--type",
      type,
      "--data",
      rows.toString(),
      "--overwrite",
      mode.equals("static") ? "--calibration" : "--max-length",
      mode.equals("static") ? rows.toString() : "128"
    };
    Cli byOptions = Cli.run((Object[]) options);
    assertThat(byOptions.exit()).as(byOptions.err()).isZero();
    assertThat(Files.readAllBytes(output)).isEqualTo(first);
  }

  @Test
  void anAdapterTrainsOnAQuantisedBase() throws IOException {
    Path base = folder.resolve("base/nf4.onnx");
    Cli made = Cli.run("quantize", encoder, "--type", "nf4", "--output", base);
    assertThat(made.exit()).as(made.err()).isZero();
    Path recipe = folder.resolve("recipe.yaml");
    Files.writeString(
        recipe,
        """
        model: %s
        output: %s
        data: {train: %s, test: %s}
        training: {epochs: 15, batch_size: 4, learning_rate: 5e-3}
        """
            .formatted(base, folder.resolve("run"), rows, rows));
    Cli trained = Cli.run("train", recipe, "--json");
    assertThat(trained.exit()).as(trained.err()).isZero();
    assertThat(JSON.readTree(trained.out()).at("/test/accuracy").asDouble()).isEqualTo(1);
    Path merged = folder.resolve("merged.onnx");
    Cli merge =
        Cli.run("merge", base, "--adapter", folder.resolve("run/adapter"), "--output", merged);
    assertThat(merge.exit()).as(merge.err()).isZero();
  }

  @Test
  void aFolderOfFewBitsIsAModelLikeItsSource() throws IOException {
    Path small = folder.resolve("small");
    Cli made =
        Cli.run("quantize", encoder, "--type", "nf4", "--output", small, "--data", rows, "--json");
    assertThat(made.exit()).as(made.err()).isZero();
    Path source = encoder.resolve("model.safetensors");
    assertThat(Files.size(small.resolve("model.safetensors"))).isLessThan(Files.size(source) / 2);
    Cli run =
        Cli.run("evaluate", small, "--adapter", adapter, "--data", rows, "--engine", "onnxruntime");
    assertThat(run.exit()).as(run.err()).isZero();
    Cli onnx = Cli.run("quantize", small, "--type", "nf4", "--output", folder.resolve("x"));
    assertThat(onnx.exit()).as(onnx.err()).isZero(); // what is quantised can be quantised again
    assertThat(Files.readAllBytes(folder.resolve("x/model.safetensors")))
        .isEqualTo(Files.readAllBytes(small.resolve("model.safetensors")));
  }

  @Test
  void whatIsThereStaysWithoutOverwrite() throws IOException {
    Path output = Files.writeString(folder.resolve("x.onnx"), "mine");
    Cli.run("quantize", encoder, "--output", output).assertFailed(1);
    Files.writeString(folder.resolve("tokenizer.json"), "mine");
    Cli other = Cli.run("quantize", encoder, "--output", folder.resolve("y.onnx"), "--json");
    other.assertFailed(1);
    assertThat(other.lastLine()).contains("tokenizer.json").contains("--overwrite");
    assertThat(output).content().isEqualTo("mine");
    assertThat(folder.resolve("y.onnx")).doesNotExist();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--mode|static|calibration",
        "--mode|fast|dynamic, static, weight-only",
        "--type|int3|int8, int4, nf4",
        "--max-loss|0.5|rows to judge on",
        "--max-loss|-1|number from 0 up",
        "--set|mode=static|for recipes",
        "--percentile|20|above 50"
      })
  void wrongArgumentsAreWrongUsage(String option, String value, String says) {
    Cli run = Cli.run("quantize", encoder, "--output", folder.resolve("x.onnx"), option, value);
    assertThat(run.exit()).isEqualTo(2);
    assertThat(run.lastLine()).contains(says);
  }

  @Test
  void anUnknownLayerIsNamedWithTheNearest() {
    Cli run =
        Cli.run(
            "quantize",
            encoder,
            "--output",
            folder.resolve("x.onnx"),
            "--exclude",
            "dens",
            "--json");
    run.assertFailed(1);
    assertThat(run.lastLine()).contains("'dens'").contains("dense");
  }
}
