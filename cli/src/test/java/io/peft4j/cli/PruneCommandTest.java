package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A tiny classifier trained, pruned, recovered and judged, all by the command. */
class PruneCommandTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;
  private Path model;
  private Path rows;
  private Path adapter;

  @BeforeEach
  void train() throws IOException {
    model = TinyModel.encoder(folder.resolve("model"));
    rows = TinyModel.rows(folder.resolve("rows.tsv"));
    Path recipe =
        Files.writeString(
            folder.resolve("train.yaml"),
            """
            model: %s
            output: %s
            data: {train: %s}
            training: {epochs: 12, batch_size: 4, learning_rate: 0.01, seed: 3}
            """
                .formatted(model, folder.resolve("run"), rows));
    assertThat(Cli.run("train", recipe).exit()).isZero();
    adapter = folder.resolve("run/adapter");
  }

  @Test
  void aFolderHoldsModelTokenizerServingFilesAndReport() throws IOException {
    Path output = folder.resolve("pruned");
    Cli cli =
        Cli.run(
            "prune",
            model,
            "--adapter",
            adapter,
            "--data",
            rows,
            "--output",
            output,
            "--structure",
            "neurons,heads,vocabulary",
            "--share",
            "0.25",
            "--json");
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(cli.err()).isEmpty();
    JsonNode report = JSON.readTree(cli.out());
    assertThat(report).isEqualTo(JSON.readTree(output.resolve("prune.json").toFile()));
    assertThat(report.at("/before/accuracy").asDouble()).isEqualTo(1);
    assertThat(report.at("/after/accuracy").asDouble()).isEqualTo(1);
    assertThat(report.at("/after/parameters").asLong())
        .isLessThan(report.at("/before/parameters").asLong());
    try (Stream<Path> files = Files.list(output)) {
      assertThat(files.map(f -> f.getFileName().toString()))
          .containsExactlyInAnyOrder(
              "config.json", "model.onnx", "prune.json", "serving.properties", "tokenizer.json");
    }
    Cli judged =
        Cli.run(
            "evaluate",
            output.resolve("model.onnx"),
            "--data",
            rows,
            "--json",
            "--engine",
            "onnxruntime");
    assertThat(judged.exit()).as(judged.err()).isZero();
    assertThat(JSON.readTree(judged.out()).at("/accuracy").asDouble()).isEqualTo(1);
  }

  @Test
  void aRecipeSaysTheSame() throws IOException {
    Path output = folder.resolve("recipe.onnx");
    Path recipe =
        Files.writeString(
            folder.resolve("prune.yaml"),
            """
            model: %s
            adapter: %s
            output: %s
            prune: {structures: [neurons], importance: taylor, flops: 0.1, steps: 2}
            recover: {method: full}
            data: {train: %s}
            training: {epochs: 1, learning_rate: 1e-3}
            """
                .formatted(model, adapter, output, rows));
    Cli cli = Cli.run("prune", recipe);
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(cli.out()).contains("FLOPs a row").contains("accuracy").contains("written");
    Cli again = Cli.run("prune", recipe);
    assertThat(again.exit()).isEqualTo(1);
    assertThat(again.err()).contains("is there already");
    Cli other = Cli.run("prune", recipe, "--share", "0.2");
    assertThat(other.exit()).isEqualTo(2);
    assertThat(other.err()).contains("--share does not go with a recipe");
  }

  @Test
  void rowsWithoutLabelsServeToo() throws IOException {
    Path texts =
        Files.writeString(
            folder.resolve("texts.tsv"), "text\nthe cup came late\nmy bill is high\n");
    Path output = folder.resolve("unlabelled.onnx");
    Cli cli =
        Cli.run(
            "prune", model, "--adapter", adapter, "--data", texts, "--output", output, "--json");
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(JSON.readTree(cli.out()).at("/after/accuracy").isNull()).isTrue();
    assertThat(output).exists();
  }

  @Test
  void safeTensorsThatCannotSayItAreRefused() {
    Path output = folder.resolve("folder");
    Cli cli =
        Cli.run(
            "prune",
            model,
            "--adapter",
            adapter,
            "--data",
            rows,
            "--output",
            output,
            "--format",
            "safetensors",
            "--recover",
            "none");
    assertThat(cli.exit()).isEqualTo(1);
    assertThat(cli.err()).contains("write it as ONNX");
    assertThat(output).doesNotExist();
    Cli even =
        Cli.run(
            "prune",
            model,
            "--output",
            output,
            "--format",
            "safetensors",
            "--even",
            "--importance",
            "magnitude",
            "--recover",
            "none",
            "--json");
    assertThat(even.exit()).as(even.err()).isZero();
    assertThat(Cli.run("inspect", output).exit()).isZero();
  }

  @Test
  void wrongArgumentsAreWrongUsage() {
    assertWrong("--output is missing", model, "--data", rows);
    assertWrong("importance must be one of", model, "--output", "x", "--importance", "luck");
    assertWrong("structures must be of", model, "--output", "x", "--structure", "knees");
    assertWrong("only one of share", model, "--output", "x", "--share", "0.1", "--flops", "0.2");
    assertWrong("needs texts", model, "--output", "x");
    assertWrong(
        "vocabulary changes the tokenizer too",
        model,
        "--output",
        "x.onnx",
        "--data",
        rows,
        "--structure",
        "vocabulary");
    assertWrong("share must be from 0", model, "--output", "x", "--data", rows, "--share", "2");
  }

  private static void assertWrong(String message, Object... arguments) {
    Object[] all = new Object[arguments.length + 1];
    all[0] = "prune";
    System.arraycopy(arguments, 0, all, 1, arguments.length);
    Cli cli = Cli.run(all);
    assertThat(cli.exit()).as(cli.err()).isEqualTo(2);
    assertThat(cli.err()).contains(message);
  }
}
