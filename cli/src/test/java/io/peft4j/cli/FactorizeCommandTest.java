package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.Checkpoints;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FactorizeCommandTest {
  @TempDir Path folder;
  private Path model;
  private Path rows;

  @BeforeEach
  void write() throws IOException {
    model = TinyModel.encoder(folder.resolve("model"));
    rows = TinyModel.rows(folder.resolve("rows.tsv"));
  }

  @Test
  void theFileIsSmallerByWhatIsReported() throws IOException {
    Path output = folder.resolve("low.onnx");
    Cli cli =
        Cli.run(
            "factorize",
            model,
            "--saving",
            "0.4",
            "--activations",
            "--data",
            rows,
            "--output",
            output,
            "--json");
    assertThat(cli.exit()).as(cli.err()).isZero();
    JsonNode result = new ObjectMapper().readTree(cli.out());
    long before = Checkpoints.open(model).graph().parameterCount();
    long after = Checkpoints.open(output).graph().parameterCount();
    assertThat(result.at("/parametersBefore").asLong()).isEqualTo(before);
    assertThat(result.at("/parameters").asLong()).isEqualTo(after).isLessThan(before);
    assertThat(result.at("/bytes").asLong()).isEqualTo(Files.size(output));
    Cli plain = Cli.run("export", model, "--format", "onnx", "--output", folder.resolve("m.onnx"));
    assertThat(plain.exit()).isZero();
    assertThat(Files.size(output)).isLessThan(Files.size(folder.resolve("m.onnx")));
    for (JsonNode layer : result.at("/layers")) {
      assertThat(layer.at("/split").asBoolean()).isTrue();
      assertThat(layer.at("/outputError").asDouble()).isBetween(0.0, 1.0);
    }
    Cli seen = Cli.run("inspect", output);
    assertThat(seen.out()).contains("encoder.layer.0.intermediate.dense.1");
  }

  @Test
  void layersWhoseSpectrumIsFlatStayWhole() {
    Path output = folder.resolve("low.onnx");
    Cli cli = Cli.run("factorize", model, "--energy", "0.9999", "--output", output);
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(cli.out()).contains("whole").contains("0 of 13 layers split");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--output o.onnx",
        "--output o.onnx --saving 0.5 --rank 3",
        "--output o.onnx --rank 0",
        "--output o.onnx --energy 2",
        "--output o.onnx --saving 0.5 --activations",
        "--output folder --saving 0.5"
      })
  void argumentsThatContradictEachOtherAreWrongUsage(String arguments) {
    String[] all = ("factorize\t" + model + "\t" + arguments.replace(' ', '\t')).split("\t", -1);
    Cli.run(line -> {}, all).assertFailed(2);
  }
}
