package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.Checkpoints;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SparsifyCommandTest {
  @TempDir Path folder;
  private Path model;
  private Path rows;

  @BeforeEach
  void write() throws IOException {
    model = TinyModel.encoder(folder.resolve("model"));
    rows = TinyModel.rows(folder.resolve("rows.tsv"));
  }

  private static long zeros(Tensor tensor) {
    long zeros = 0;
    for (float value : tensor.toFloats()) {
      zeros += value == 0 ? 1 : 0;
    }
    return zeros;
  }

  @ParameterizedTest
  @CsvSource({
    "magnitude, --sparsity, 0.5, sparse.onnx",
    "wanda, --sparsity, 0.5, sparse.onnx",
    "sparsegpt, --pattern, 2:4, sparse"
  })
  void theFileHoldsTheZerosThatAreReported(
      String importance, String amount, String value, String name) throws IOException {
    Path output = folder.resolve(name);
    Cli cli =
        Cli.run(
            "sparsify",
            model,
            "--importance",
            importance,
            amount,
            value,
            "--data",
            rows,
            "--output",
            output,
            "--json");
    assertThat(cli.exit()).as(cli.err()).isZero();
    JsonNode result = new ObjectMapper().readTree(cli.out());
    Graph graph = Checkpoints.open(output).graph();
    long weights = 0;
    long zeros = 0;
    for (JsonNode layer : result.at("/layers")) {
      long found = zeros(graph.initializer(layer.at("/layer").asText() + ".weight"));
      assertThat(layer.at("/zeros").asLong()).isEqualTo(found);
      assertThat(layer.at("/outputError").asDouble()).isPositive();
      weights += layer.at("/weights").asLong();
      zeros += found;
    }
    assertThat(result.at("/layers")).hasSizeGreaterThan(12);
    assertThat(result.at("/sparsity").asDouble()).isEqualTo((double) zeros / weights);
    assertThat(result.at("/sparsity").asDouble()).isCloseTo(0.5, within(0.001));
    assertThat(result.at("/parameters").asLong())
        .isEqualTo(Checkpoints.open(model).graph().parameterCount());
    assertThat(result.at("/compressedBytes").asLong()).isLessThan(result.at("/bytes").asLong());
    if (name.endsWith(".onnx")) {
      assertThat(result.at("/bytes").asLong()).isEqualTo(Files.size(output));
      assertThat(folder.resolve("tokenizer.json")).exists();
    }
  }

  @Test
  void peopleAreToldThatNothingIsSmaller() {
    Cli cli = Cli.run("sparsify", model, "--sparsity", "0.5", "--output", folder.resolve("s.onnx"));
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(cli.out())
        .contains("sparse by magnitude, 50.00% of the weights")
        .contains("zeros take as much room as other numbers")
        .doesNotContain("pruned");
  }

  @ParameterizedTest
  @ValueSource(strings = {"movement", "wanda"})
  void aModelThatTrainsEndsAsSparseAsAskedForAndPredicts(String importance) throws IOException {
    Path output = folder.resolve("trained.onnx");
    Cli cli =
        Cli.run(
            "sparsify",
            model,
            "--importance",
            importance,
            "--sparsity",
            "0.5",
            "--data",
            rows,
            "--validation",
            rows,
            "--epochs",
            "40",
            "--learning-rate",
            "0.01",
            "--output",
            output,
            "--json");
    assertThat(cli.exit()).as(cli.err()).isZero();
    JsonNode result = new ObjectMapper().readTree(cli.out());
    assertThat(result.at("/sparsity").asDouble()).isCloseTo(0.5, within(0.01));
    for (JsonNode layer : result.at("/layers")) {
      assertThat(
              zeros(
                  Checkpoints.open(output)
                      .graph()
                      .initializer(layer.at("/layer").asText() + ".weight")))
          .isEqualTo(layer.at("/zeros").asLong());
    }
    double accuracy = result.at("/validationAccuracy").asDouble();
    assertThat(accuracy).isGreaterThan(0.8);
    Cli judged = Cli.run("evaluate", output, "--data", rows, "--json");
    assertThat(judged.exit()).as(judged.err()).isZero();
    assertThat(new ObjectMapper().readTree(judged.out()).at("/accuracy").asDouble())
        .isEqualTo(accuracy);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--output o.onnx",
        "--output o.onnx --sparsity 1",
        "--output o.onnx --sparsity 0.5 --pattern 2:4",
        "--output o.onnx --pattern 4:2",
        "--output o.onnx --pattern 2:4 --scope row",
        "--output o.onnx --sparsity 0.5 --importance wanda",
        "--output o.onnx --sparsity 0.5 --importance movement --data r.tsv",
        "--output o.onnx --sparsity 0.5 --importance sparsegpt --data r.tsv --scope model",
        "--output o.onnx --sparsity 0.5 --epochs 2",
        "--output o.onnx --sparsity 0.5 --data r.tsv --validation r.tsv"
      })
  void argumentsThatContradictEachOtherAreWrongUsage(String arguments) {
    String[] all = ("sparsify\t" + model + "\t" + arguments.replace(' ', '\t')).split("\t", -1);
    Cli.run(line -> {}, all).assertFailed(2);
  }

  @ParameterizedTest
  @CsvSource({"weights, peft4j sparsify", "rank, peft4j factorize"})
  void whoLooksForItUnderPruneIsToldWhereItIs(String structure, String command) {
    Cli cli =
        Cli.run(
            "prune",
            model,
            "--structure",
            structure,
            "--data",
            rows,
            "--output",
            folder.resolve("p.onnx"));
    cli.assertFailed(2);
    assertThat(cli.lastLine()).contains(command);
  }

  @Test
  void layersThatDoNotFitThePatternAreNamed() {
    Path output = folder.resolve("s.onnx");
    Cli cli = Cli.run("sparsify", model, "--pattern", "3:7", "--output", output);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("no whole groups of 7").contains("leave it out");
    assertThat(output).doesNotExist();
  }
}
