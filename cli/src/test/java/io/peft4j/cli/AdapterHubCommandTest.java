package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** AdapterHub's folders and methods as commands take them. */
class AdapterHubCommandTest {
  private static final Path BASE = TinyModel.METHODS.resolve("base-bert");

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"seq_bn", "prefix_tuning", "vera", "fusion-dynamic", "seq_bn-head"})
  void runGivesLossAndGradientsUnderTheKeysOfTheFile(String name) {
    Path adapter = TinyModel.METHODS.resolve("adapterhub").resolve(name);
    Map<String, Tensor> golden = TinyModel.tensors(adapter.resolve("io.safetensors"));
    Map<String, Tensor> batch = new LinkedHashMap<>(golden);
    batch.keySet().removeIf(key -> !key.matches("input_ids|attention_mask|token_type_ids|labels"));
    Path inputs = folder.resolve("inputs.safetensors");
    SafeTensors.write(inputs, batch, Map.of());
    Path output = folder.resolve("outputs.safetensors");
    Cli cli =
        Cli.run(
            "run", BASE, "--inputs", inputs, "--output", output, "--adapter", adapter, "--grad");
    assertThat(cli.exit()).as(cli.err()).isZero();
    Map<String, Tensor> results = TinyModel.tensors(output);
    TreeSet<String> wanted = new TreeSet<>(golden.keySet());
    wanted.removeIf(key -> !key.startsWith("grad.") && !key.matches("loss|logits"));
    assertThat(results.keySet()).containsAll(wanted);
    assertThat(results.keySet().stream().filter(key -> key.startsWith("grad.")))
        .allMatch(wanted::contains);
    for (String key : wanted) {
      assertThat(results.get(key).toDoubles())
          .as(key)
          .containsExactly(golden.get(key).toDoubles(), within(2e-5));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "method: houlsby, reduction_factor: 4, dropout: 0.1",
        "method: compacter, reduction_factor: 4",
        "method: adapterplus, reduction_factor: {0: 4, default: 8}, leave_out: [1]",
        "method: unipelt, prefix_length: 3, bottleneck_size: 8, reduction_factor: 4",
        "method: hub-prompt-tuning, prompt_length: 4",
        "method: hub-prompt-tuning, prompt_length: 3, combine: prefix_after_bos",
        "method: hub-ia3, init_weights: bert",
        "method: loreft, r: 2, suffix_positions: 1"
      })
  void aMethodTrainsAndItsResolvedRecipeTrainsTheSameAndItsFolderSaysTheSame(String adapter)
      throws IOException {
    Path model = TinyModel.encoder(folder.resolve("model"));
    Path rows = TinyModel.rows(folder.resolve("rows.tsv"));
    Path run = folder.resolve("run");
    Path recipe =
        Files.writeString(
            folder.resolve("recipe.yaml"),
            """
            model: %s
            output: %s
            adapter: {%s}
            data: {train: %s, test: %s}
            training: {epochs: 2, batch_size: 4, learning_rate: 0.02, seed: 3}
            """
                .formatted(model, run, adapter, rows, rows));
    Cli cli = Cli.run("train", recipe, "--json");
    assertThat(cli.exit()).as(cli.err()).isZero();
    Path again = folder.resolve("again");
    Cli second = Cli.run("train", run.resolve("recipe.yaml"), "--set", "output=" + again);
    assertThat(second.exit()).as(second.err()).isZero();
    Map<String, Tensor> first = TinyModel.tensors(run.resolve("adapter/adapter.safetensors"));
    TinyModel.tensors(again.resolve("adapter/adapter.safetensors"))
        .forEach((key, value) -> assertThat(first.get(key).contentEquals(value)).as(key).isTrue());
    Cli judged =
        Cli.run("evaluate", model, "--adapter", run.resolve("adapter"), "--data", rows, "--json");
    assertThat(judged.exit()).as(judged.err()).isZero();
    JsonNode trained = new ObjectMapper().readTree(cli.out());
    assertThat(new ObjectMapper().readTree(judged.out()).at("/accuracy"))
        .isEqualTo(trained.at("/test/accuracy"));
  }

  @Test
  void mergingWhatCannotBeMergedIsOneLineThatSaysWhy() {
    Path adapter = TinyModel.METHODS.resolve("adapterhub/seq_bn");
    Cli cli = Cli.run("merge", BASE, "--adapter", adapter, "--output", folder.resolve("merged"));
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("cannot be merged");
    assertThat(folder.resolve("merged")).doesNotExist();
  }

  @Test
  void aKeyOfAnotherMethodIsRefused() throws IOException {
    Path recipe =
        Files.writeString(
            folder.resolve("recipe.yaml"),
            """
            model: m
            output: o
            adapter: {method: houlsby, rank: 4}
            data: {train: t}
            """);
    Cli cli = Cli.run("train", recipe);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("adapter.rank does not go with adapter.method houlsby");
  }
}
