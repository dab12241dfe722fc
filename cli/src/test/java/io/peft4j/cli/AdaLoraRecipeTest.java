package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** AdaLoRA by a recipe alone: the command shrinks the ranks, and what it writes is used further. */
class AdaLoraRecipeTest {
  @TempDir Path folder;

  @Test
  void theCommandEndsWithTheTargetRankAndItsAdapterIsExported() throws IOException {
    Path model = TinyModel.encoder(folder.resolve("model"));
    Path rows = TinyModel.rows(folder.resolve("rows.tsv"));
    Path run = folder.resolve("run");
    Path recipe =
        Files.writeString(
            folder.resolve("recipe.yaml"),
            """
            model: %s
            output: %s
            adapter: {method: adalora, init_r: 5, target_r: 2, targets: all-linear}
            data: {train: %s, validation: %s}
            training: {epochs: 10, batch_size: 4, learning_rate: 0.01, seed: 3}
            """
                .formatted(model, run, rows, rows));
    Cli trained = Cli.run("train", recipe);
    assertThat(trained.exit()).as(trained.err()).isZero();
    JsonNode config =
        new ObjectMapper().readTree(run.resolve("adapter/adapter_config.json").toFile());
    JsonNode pattern = config.get("rank_pattern");
    int left = 0;
    for (JsonNode flags : pattern) {
      for (JsonNode flag : flags) {
        left += flag.booleanValue() ? 1 : 0;
      }
    }
    assertThat(left).isEqualTo(2 * pattern.size());
    Cli exported =
        Cli.run(
            "export",
            model,
            "--adapter",
            run.resolve("adapter"),
            "--format",
            "onnx",
            "--output",
            folder.resolve("exported.onnx"));
    assertThat(exported.exit()).as(exported.err()).isZero();
  }
}
