package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.common.collect.ImmutableList;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole chain on a tiny encoder. */
class CompactCommandTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;
  private Path rows;
  private Path recipe;
  private Path output;

  @BeforeEach
  void writeRecipe() throws IOException {
    Path model = TinyModel.encoder(folder.resolve("model"));
    rows = TinyModel.rows(folder.resolve("rows.tsv"));
    output = folder.resolve("small");
    recipe =
        Files.writeString(
            folder.resolve("recipe.yaml"),
            """
            model: %s
            output: %s
            adapter: {method: lora, rank: 4, targets: [intermediate.dense, query]}
            data: {train: %s, test: %s}
            training: {epochs: 12, batch_size: 4, learning_rate: 0.01, seed: 3}
            prune: {share: 0.25, epochs: 1}
            student: {layers: 1, copies: 1, epochs: 2}
            feed_forward: {copies: 1, epochs: 2}
            """
                .formatted(model, output, rows, rows));
  }

  @Test
  void everyStageIsWrittenAndHasItsRow() throws IOException {
    Cli cli = Cli.run("compact", recipe, "--json");
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(cli.err()).isEmpty();
    JsonNode table = JSON.readTree(output.resolve("compare.json").toFile());
    assertThat(table).isEqualTo(JSON.readTree(cli.out()));
    List<String> stages = new ArrayList<>();
    for (JsonNode row : table) {
      assertThat(ImmutableList.copyOf(row.fieldNames()))
          .containsExactly(
              "stage",
              "accuracy",
              "parameters",
              "bytes",
              "latencyMsP50Batch1",
              "latencyMsP95Batch1",
              "throughputPerSecond",
              "peakMemoryBytes",
              "agreement");
      String stage = row.get("stage").asText();
      stages.add(stage);
      Path file = output.resolve(stage + ".onnx");
      PretrainedModel written = Checkpoints.open(file);
      long parameters = written.graph().parameterCount();
      assertThat(row.get("parameters").asLong())
          .satisfies(
              count -> {
                if (stage.endsWith("int8")) {
                  assertThat(count).isGreaterThan(parameters);
                } else {
                  assertThat(count).isEqualTo(parameters);
                }
              });
      assertThat(written.checkpoint().labels()).containsExactly("delivery", "money");
      assertThat(Files.size(file) + Files.size(output.resolve("tokenizer.json")))
          .isEqualTo(row.get("bytes").asLong());
    }
    assertThat(stages)
        .containsExactly("merged", "pruned", "student", "feedforward", "int8", "student-int8");
    long merged = table.get(0).get("parameters").asLong();
    assertThat(table.get(0).get("accuracy").asDouble()).isEqualTo(1);
    assertThat(table.get(0).get("agreement").asDouble()).isEqualTo(1);
    assertThat(table.get(1).get("parameters").asLong()).isLessThan(merged);
    assertThat(table.get(2).get("parameters").asLong()).isLessThan(merged);
    try (Stream<Path> files = Files.list(output)) {
      assertThat(files.map(f -> f.getFileName().toString()))
          .contains("adapter", "compare.html", "recipe.yaml", "report.txt");
    }
    assertThat(output.resolve("report.txt"))
        .content()
        .contains("at most 1 points of accuracy lost", "at least 20 times the teacher's texts");
    Cli again = Cli.run("compact", recipe);
    again.assertFailed(1);
    assertThat(again.lastLine()).contains("is not empty");
  }

  @Test
  void stagesAreChosen() throws IOException {
    Cli cli = Cli.run("compact", recipe, "--set", "stages=[int8]", "--set", "training.epochs=1");
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(JSON.readTree(output.resolve("compare.json").toFile()).findValuesAsText("stage"))
        .containsExactly("merged", "int8");
    assertThat(cli.out()).contains("at most 0.5 points").doesNotContain("teacher");
  }

  @Test
  void whatIsWrongInTheRecipeIsNamed() throws IOException {
    Cli stage = Cli.run("compact", recipe, "--set", "stages=[smaller]");
    stage.assertFailed(1);
    assertThat(stage.lastLine()).contains("no stage 'smaller'", "pruned, student");
    Cli epochs = Cli.run("compact", recipe, "--set", "student.epochs=0");
    epochs.assertFailed(1);
    assertThat(epochs.lastLine()).contains("student: epochs must be at least 1, was 0");
    Path untested = folder.resolve("untested.yaml");
    Files.writeString(untested, Files.readString(recipe).replace(", test: " + rows, ""));
    Cli missing = Cli.run("compact", untested);
    missing.assertFailed(1);
    assertThat(missing.lastLine()).contains("data.test is missing");
    assertThat(output).doesNotExist();
  }
}
