package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Every form of LoRA from a recipe: trained, judged from its folder, merged. */
class LoraRecipeTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "dora: true",
        "init: pissa",
        "init: olora",
        "init: orthogonal",
        "init: eva",
        "init: lora_ga, rslora: true",
        "rank_allocation: gradient",
        "rank_allocation: gradient, init: lora_ga",
        "bias: all, lora_bias: true, loraplus_lr_ratio: 4",
        "trainable_token_indices: [4, 5]"
      })
  void theFolderHoldsWhatWasTrained(String form, @TempDir Path folder) throws IOException {
    Path model = TinyModel.encoder(folder.resolve("model"));
    Path rows = TinyModel.rows(folder.resolve("rows.tsv"));
    Path run = folder.resolve("run");
    Path recipe =
        Files.writeString(
            folder.resolve("recipe.yaml"),
            """
            model: %s
            output: %s
            adapter: {method: lora, rank: 4, targets: [query, output.dense], %s}
            data: {train: %s, test: %s}
            training: {epochs: 12, batch_size: 4, learning_rate: 0.01, seed: 3}
            """
                .formatted(model, run, form, rows, rows));
    Cli trained = Cli.run("train", recipe, "--json");
    assertThat(trained.exit()).as(trained.err()).isZero();
    double accuracy = new ObjectMapper().readTree(trained.out()).at("/test/accuracy").asDouble();
    assertThat(accuracy).isEqualTo(1);
    Cli judged =
        Cli.run("evaluate", model, "--adapter", run.resolve("adapter"), "--data", rows, "--json");
    assertThat(judged.exit()).as(judged.err()).isZero();
    assertThat(new ObjectMapper().readTree(judged.out()).at("/accuracy").asDouble())
        .isEqualTo(accuracy);
    Path merged = folder.resolve("merged.onnx");
    Cli exported =
        Cli.run(
            "export",
            model,
            "--adapter",
            run.resolve("adapter"),
            "--format",
            "onnx",
            "--output",
            merged);
    assertThat(exported.exit()).as(exported.err()).isZero();
    assertThat(merged).exists();
  }
}
