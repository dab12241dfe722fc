package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A trained tiny encoder, adapted and exported, and an untrained one. */
class CompareCommandTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir static Path folder;
  private static Path rows;
  private static Path model;
  private static Path trained;
  private static Path barely;
  private static Path exported;

  @BeforeAll
  static void train() throws IOException {
    model = TinyModel.encoder(folder.resolve("model"));
    rows = TinyModel.rows(folder.resolve("rows.tsv"));
    trained = adapter("trained", 12, 0.01);
    barely = adapter("barely", 1, 1e-9);
    exported = Files.createDirectory(folder.resolve("exported")).resolve("small.onnx");
    Files.copy(model.resolve("tokenizer.json"), exported.resolveSibling("tokenizer.json"));
    Cli cli =
        Cli.run("export", model, "--adapter", trained, "--format", "onnx", "--output", exported);
    assertThat(cli.exit()).as(cli.err()).isZero();
  }

  private static Path adapter(String name, int epochs, double rate) throws IOException {
    Path recipe =
        Files.writeString(
            folder.resolve(name + ".yaml"),
            """
            model: %s
            output: %s
            adapter: {method: lora, rank: 4, targets: [intermediate.dense, query]}
            data: {train: %s}
            training: {epochs: %d, batch_size: 4, learning_rate: %s, seed: 3}
            """
                .formatted(model, folder.resolve(name), rows, epochs, rate));
    Cli cli = Cli.run("train", recipe);
    assertThat(cli.exit()).as(cli.err()).isZero();
    return folder.resolve(name).resolve("adapter");
  }

  @Test
  void everyModelIsMeasuredAgainstTheFirst() throws IOException {
    Path output = folder.resolve("result");
    Cli cli =
        Cli.run(
            "compare",
            "--data",
            rows,
            "--output",
            output,
            "--rounds",
            1,
            "--json",
            exported,
            "beside=" + model + "+" + trained,
            model + "+" + barely);
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(cli.err()).isEmpty();
    JsonNode result = JSON.readTree(cli.out());
    assertThat(result).isEqualTo(JSON.readTree(output.resolve("compare.json").toFile()));
    assertThat(output.resolve("compare.html")).content().contains("<svg", "beside", "small");
    assertThat(result.get("rows").asInt()).isEqualTo(8);
    JsonNode small = result.at("/models/0");
    JsonNode beside = result.at("/models/1");
    JsonNode untrained = result.at("/models/2");
    assertThat(small.get("name").asText()).isEqualTo("small");
    assertThat(small.get("accuracy").asDouble()).isEqualTo(1);
    assertThat(small.get("pValue").isNull()).isTrue();
    assertThat(small.get("bytes").asLong())
        .isEqualTo(Files.size(exported) + Files.size(exported.resolveSibling("tokenizer.json")));
    assertThat(beside.get("agreement").asDouble()).isEqualTo(1);
    assertThat(beside.get("parameters").asLong()).isGreaterThan(small.get("parameters").asLong());
    assertThat(untrained.get("name").asText()).isEqualTo("model+adapter");
    int lost = untrained.get("lostToFirst").asInt();
    assertThat(lost).isPositive();
    assertThat(untrained.get("accuracy").asDouble()).isEqualTo(1 - lost / 8.0);
    assertThat(untrained.get("agreement").asDouble()).isEqualTo(1 - lost / 8.0);
    assertThat(untrained.get("pValue").asDouble())
        .isCloseTo(Math.min(1, 2 * Math.pow(0.5, lost)), within(1e-12));
    for (JsonNode row : result.get("models")) {
      assertThat(row.get("latencyMsP95Batch1").asDouble())
          .isGreaterThanOrEqualTo(row.get("latencyMsP50Batch1").asDouble())
          .isPositive();
      assertThat(row.get("throughputPerSecond").asDouble()).isPositive();
      if (Files.exists(Path.of("/proc/self/status"))) {
        assertThat(row.get("peakMemoryBytes").asLong())
            .isGreaterThan(row.get("processMemoryBytes").asLong());
      }
    }
    Cli again = Cli.run("compare", exported, "--data", rows, "--output", output);
    again.assertFailed(1);
    assertThat(again.lastLine()).contains("compare.html is there already", "--overwrite");
  }

  @Test
  void aModelThatCannotBeComparedIsNamed() throws IOException {
    Cli headless = Cli.run("compare", model, "--data", rows);
    headless.assertFailed(1);
    assertThat(headless.lastLine()).contains("model 'model'", "logits", "MODEL+ADAPTER");
    Path other = Files.writeString(folder.resolve("other.tsv"), "text\tlabel\nthe cup\tcups\n");
    Cli unknown = Cli.run("compare", exported, "--data", other);
    unknown.assertFailed(1);
    assertThat(unknown.lastLine()).contains("model 'small'", "line 2: label 'cups'");
    Cli twice = Cli.run("compare", exported, exported, exported, "--data", rows);
    twice.assertFailed(2);
    assertThat(twice.lastLine()).contains("NAME=MODEL");
    Cli.run("compare", "--data", rows).assertFailed(2);
    Cli.run("compare", exported, "--data", rows, "--rounds", 0).assertFailed(2);
  }

  /** ONNX Runtime refuses a file that peft4j can read: the process says so, and ends. */
  @Test
  void whatTheProcessOfAModelSaysIsTheError() throws IOException {
    Path broken = Files.createDirectories(folder.resolve("broken")).resolve("broken.onnx");
    Files.copy(exported.resolveSibling("tokenizer.json"), broken.resolveSibling("tokenizer.json"));
    byte[] bytes = Files.readAllBytes(exported);
    String text = new String(bytes, java.nio.charset.StandardCharsets.ISO_8859_1);
    Files.write(
        broken,
        text.replace("LayerNormalization", "LayerNormalisation")
            .replace("Softmax", "Softmux")
            .getBytes(java.nio.charset.StandardCharsets.ISO_8859_1));
    Cli cli = Cli.run("compare", broken, "--data", rows);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("model 'broken'", "ONNX Runtime cannot load it");
  }
}
