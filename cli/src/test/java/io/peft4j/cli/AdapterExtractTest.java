package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.Checkpoints;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code adapter extract} and {@code adapter inspect}. */
class AdapterExtractTest {
  private static final Path BASE = TinyModel.METHODS.resolve("base-bert");
  private static final Path LORA = TinyModel.METHODS.resolve("peft/lora-qv");
  private static final Path HIRA = TinyModel.METHODS.resolve("peft/hira");

  @TempDir Path folder;

  @Test
  void anAdapterBecomesLoraAndTheErrorIsTold() throws IOException {
    Path output = folder.resolve("lora");
    JsonNode told =
        json("adapter", "extract", BASE, "--adapter", HIRA, "--rank", 2, "--output", output);
    assertThat(told.at("/error").asDouble()).isBetween(0.01, 0.99);
    assertThat(told.at("/modules/0/rank").asInt()).isEqualTo(2);
    JsonNode seen = json("adapter", "inspect", output, BASE);
    assertThat(seen.at("/method").asText()).isEqualTo("LORA");
    assertThat(seen.at("/fits").asBoolean()).isTrue();
    assertThat(seen.at("/baseMatches").asBoolean()).isTrue();
    assertThat(seen.at("/updates/0/rank").asInt()).isEqualTo(2);
    assertThat(seen.at("/provenance/extractedFrom").asText()).isEqualTo("hira");
  }

  @Test
  void aMergedModelsDifferenceIsItsAdapter() throws IOException {
    Path merged = folder.resolve("merged");
    Path output = folder.resolve("lora");
    assertThat(Cli.run("merge", BASE, "--adapter", LORA, "--output", merged).exit()).isZero();
    JsonNode told = json("adapter", "extract", BASE, merged, "--rank", 4, "--output", output);
    assertThat(told.at("/error").asDouble()).isLessThan(1e-6);
    JsonNode own = json("adapter", "inspect", LORA, BASE);
    JsonNode found = json("adapter", "inspect", output, BASE);
    for (int i = 0; i < 4; i++) {
      assertThat(found.at("/updates/" + i + "/module"))
          .isEqualTo(own.at("/updates/" + i + "/module"));
      double norm = own.at("/updates/" + i + "/norm").asDouble();
      assertThat(found.at("/updates/" + i + "/norm").asDouble())
          .isBetween(norm - 1e-5, norm + 1e-5);
    }
  }

  @Test
  void wrongArgumentsAreWrongUsage() {
    Path output = folder.resolve("none");
    Cli.run("adapter", "extract", BASE, "--output", output).assertFailed(2);
    Cli.run("adapter", "extract", BASE, BASE, "--adapter", LORA, "--output", output)
        .assertFailed(2);
    Cli.run("adapter", "extract", BASE, BASE, "--rank", 0, "--output", output).assertFailed(2);
    Cli.run("adapter", "extract", BASE, BASE, "--rank", 1, "--energy", 1, "--output", output)
        .assertFailed(2);
    Cli.run("adapter", "extract", BASE, BASE, "--output", output).assertFailed(1);
    assertThat(output).doesNotExist();
  }

  @Test
  void whatDoesNotFitSaysWhy() throws IOException {
    JsonNode seen = json("adapter", "inspect", LORA, TinyModel.METHODS.resolve("base-gpt2"));
    assertThat(seen.at("/fits").asBoolean(true)).isFalse();
    assertThat(seen.at("/reason").asText()).contains("'query' matches no module");
    assertThat(seen.at("/share").isNull()).isTrue();
  }

  @Test
  void changesOfBiasesAndNormsAreTold() throws IOException {
    JsonNode bias = json("adapter", "inspect", TinyModel.METHODS.resolve("peft/beft"), BASE);
    assertThat(bias.at("/updates/0/norm").asDouble(1)).isZero();
    assertThat(bias.at("/updates/0/biasNorm").asDouble()).isBetween(0.1, 10.0);
    JsonNode norms = json("adapter", "inspect", TinyModel.METHODS.resolve("peft/ln_tuning"), BASE);
    List<String> modules = norms.at("/updates").findValuesAsText("module");
    assertThat(modules).hasSize(6).contains("bert.encoder.layer.1.output.LayerNorm");
    assertThat(norms.at("/updates/5/norm").asDouble()).isBetween(0.1, 10.0);
  }

  @Test
  void aPickleIsRefusedWithAndWithoutAModel() throws IOException {
    Path hub = TinyModel.METHODS.resolve("adapterhub/lora/adapter_config.json");
    Files.copy(hub, folder.resolve("adapter_config.json"));
    Files.createFile(folder.resolve("pytorch_adapter.bin"));
    Cli.run("adapter", "inspect", folder).assertFailed(1);
    Cli cli = Cli.run("adapter", "inspect", folder, BASE);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("pickle").contains("use_safetensors=True");
  }

  @Test
  void aMergedModelKeepsTheNamesOfTheClasses() throws IOException {
    Path named = Files.createDirectory(folder.resolve("named"));
    for (String file : List.of("adapter_config.json", "adapter_model.safetensors")) {
      Files.copy(LORA.resolve(file), named.resolve(file));
    }
    Files.writeString(
        named.resolve("peft4j.json"), "{\"labels\": [\"a\", \"b\", \"c\", \"d\", \"e\"]}");
    Path merged = folder.resolve("merged");
    Cli cli = Cli.run("merge", BASE, "--adapter", named, "--output", merged);
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(Checkpoints.open(merged).checkpoint().labels())
        .containsExactly("a", "b", "c", "d", "e");
  }

  @Test
  void withoutAModelTheFilesTell() throws IOException {
    JsonNode seen = json("adapter", "inspect", LORA);
    assertThat(seen.at("/fits").isNull()).isTrue();
    assertThat(seen.at("/baseModel").asText()).isEqualTo("base-bert");
    assertThat(seen.at("/updates")).hasSize(4);
    assertThat(seen.at("/updates/0/rank").asInt()).isEqualTo(4);
    JsonNode hub = json("adapter", "inspect", TinyModel.METHODS.resolve("adapterhub/lora"));
    assertThat(hub.at("/format").asText()).isEqualTo("adapterhub");
    assertThat(hub.at("/method").asText()).isEqualTo("lora");
    Cli.run("adapter", "inspect", folder).assertFailed(1);
  }

  private static JsonNode json(Object... arguments) throws IOException {
    Object[] all = Arrays.copyOf(arguments, arguments.length + 1);
    all[arguments.length] = "--json";
    Cli cli = Cli.run(all);
    assertThat(cli.exit()).as(cli.err()).isZero();
    return new ObjectMapper().readTree(cli.out());
  }
}
