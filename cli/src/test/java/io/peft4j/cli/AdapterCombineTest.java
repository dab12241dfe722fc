package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AdapterCombineTest {
  private static final Path A = TinyModel.METHODS.resolve("weighted/a");
  private static final Path B = TinyModel.METHODS.resolve("weighted/b");

  @TempDir Path folder;

  @Test
  void theResultIsWrittenAndTold() throws IOException {
    Path output = folder.resolve("both");
    Cli cli =
        Cli.run(
            "adapter",
            "combine",
            A,
            B,
            "--weights",
            "0.7,0.4",
            "--type",
            "ties",
            "--density",
            0.5,
            "--output",
            output,
            "--json");
    assertThat(cli.exit()).as(cli.err()).isZero();
    JsonNode result = new ObjectMapper().readTree(cli.out());
    assertThat(result.at("/type").asText()).isEqualTo("ties");
    assertThat(result.at("/parameters").asLong()).isEqualTo(4 * 2 * 4 * 32);
    assertThat(TinyModel.tensors(output.resolve("adapter_model.safetensors")).keySet())
        .isEqualTo(TinyModel.tensors(A.resolve("adapter_model.safetensors")).keySet());
    assertThat(output.resolve("peft4j.json"))
        .content()
        .contains("\"combined\"", "ties, weights [0.7, 0.4], density 0.5");
  }

  @Test
  void wrongArgumentsAreWrongUsage() {
    Path output = folder.resolve("none");
    Cli.run("adapter").assertFailed(2);
    Cli.run("adapter", "combine", "--output", output).assertFailed(2);
    Cli.run("adapter", "combine", A, B).assertFailed(2);
    Cli.run("adapter", "combine", A, B, "--weights", "1", "--output", output).assertFailed(2);
    Cli.run("adapter", "combine", A, B, "--type", "ties", "--output", output).assertFailed(2);
    Cli.run("adapter", "combine", A, B, "--type", "sum", "--output", output).assertFailed(2);
    Cli.run("adapter", "combine", A, B, "--weights", "a,b", "--output", output).assertFailed(2);
    assertThat(output).doesNotExist();
  }

  @Test
  void adaptersThatNameDifferentModelsAreRefused() {
    Path llama = TinyModel.METHODS.resolve("peft/lora-llama");
    Path output = folder.resolve("mixed");
    Cli cli = Cli.run("adapter", "combine", A, llama, "--output", output);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("different base models (base-bert, base-llama)");
    assertThat(output).doesNotExist();
  }

  @Test
  void whatIsThereStays() throws IOException {
    Path output = folder.resolve("both");
    assertThat(Cli.run("adapter", "combine", A, B, "--output", output).exit()).isZero();
    Cli.run("adapter", "combine", A, B, "--output", output).assertFailed(1);
    assertThat(Cli.run("adapter", "combine", A, "--output", output, "--overwrite").exit()).isZero();
    Cli.run("adapter", "combine", A, output, "--output", output, "--overwrite").assertFailed(1);
    Files.writeString(folder.resolve("mine.txt"), "mine");
    Cli.run("adapter", "combine", A, B, "--output", folder, "--overwrite").assertFailed(1);
    assertThat(folder.resolve("mine.txt")).exists();
    Cli.run("adapter", "combine", A, folder.resolve("missing"), "--output", folder.resolve("x"))
        .assertFailed(1);
    assertThat(folder.resolve("x")).doesNotExist();
  }
}
