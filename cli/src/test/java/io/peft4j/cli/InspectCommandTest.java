package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.Iterables;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InspectCommandTest {
  private static final Path BASE = TinyModel.METHODS.resolve("base-bert");
  private static final Path ADAPTER = TinyModel.METHODS.resolve("peft/lora-ffn");

  @TempDir Path folder;

  @Test
  void sitesHaveNameRoleSizesAndType() throws IOException {
    JsonNode site = site(json("inspect", BASE), "bert.encoder.layer.0.intermediate.dense");
    assertThat(site.at("/kind").asText()).isEqualTo("linear");
    assertThat(site.at("/role").asText()).isNotEmpty();
    assertThat(site.at("/sizes").toString()).isEqualTo("[32,72]");
    assertThat(site.at("/dtype").asText()).isEqualTo("float32");
    assertThat(site(json("inspect", BASE), "bert.embeddings.word_embeddings").at("/sizes"))
        .hasToString("[99,32]");
    JsonNode narrow = json("inspect", TinyModel.FAMILIES.resolve("fp16-bert"));
    assertThat(site(narrow, "bert.encoder.layer.0.intermediate.dense").at("/dtype").asText())
        .isEqualTo("float16");
  }

  @Test
  void theTableForPeopleHasThemToo() {
    Cli cli = Cli.run("inspect", BASE);
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(cli.out().lines())
        .anyMatch(
            line ->
                line.matches(
                    "linear +bert\\.encoder\\.layer\\.0\\.intermediate\\.dense +\\S.* 32 -> 72 +float32"));
  }

  @Test
  void parametersAreCountedByTypeAndWhetherTheyTrain() throws IOException {
    long weights =
        TinyModel.tensors(BASE.resolve("model.safetensors")).values().stream()
            .mapToLong(Tensor::size)
            .sum();
    Map<String, Tensor> added = TinyModel.tensors(ADAPTER.resolve("adapter_model.safetensors"));
    long trained = added.values().stream().mapToLong(Tensor::size).sum();
    JsonNode plain = json("inspect", BASE);
    assertThat(plain.at("/parameters").asLong()).isEqualTo(weights);
    assertThat(plain.at("/trainable").asLong()).isZero();
    assertThat(plain.at("/dtypes/float32").asLong()).isEqualTo(weights);
    assertThat(plain.at("/adapter").isNull()).isTrue();

    JsonNode adapted = json("inspect", BASE, "--adapter", ADAPTER);
    assertThat(adapted.at("/trainable").asLong()).isEqualTo(trained);
    long head = 5 * 32 + 5; // saved with the adapter, but the model's own
    assertThat(adapted.at("/parameters").asLong()).isEqualTo(weights + trained - head);
    assertThat(adapted.at("/adapter/method").asText()).isEqualTo("lora");
    assertThat(ImmutableList.copyOf(adapted.at("/adapter/tensors").fieldNames()))
        .containsExactlyInAnyOrderElementsOf(added.keySet());
  }

  @Test
  void operatorsAreCountedAndWhatCannotRunIsNamed() throws IOException {
    JsonNode onnx = json("inspect", TinyModel.ONNX.resolve("bert-optimized/model.onnx"));
    assertThat(onnx.at("/ops").get("com.microsoft::Attention").asInt()).isEqualTo(2);
    assertThat(onnx.at("/notRunnable").toString()).contains("com.microsoft::Attention");
    assertThat(json("inspect", BASE).at("/notRunnable")).isEmpty();
  }

  @Test
  void weightsThatTheModelDoesNotReadAreNamed() throws IOException {
    assertThat(json("inspect", BASE).at("/unused")).isEmpty();
    Path model = TinyModel.encoder(folder);
    Path file = model.resolve("model.safetensors");
    Map<String, Tensor> weights = new TreeMap<>(TinyModel.tensors(file));
    weights.put("cls.predictions.bias", Tensor.ofFloats(new long[] {2}, 1, 2));
    SafeTensors.write(file, weights, Map.of());
    assertThat(json("inspect", model).at("/unused")).hasToString("[\"cls.predictions.bias\"]");
  }

  private static JsonNode site(JsonNode inspection, String path) {
    return Iterables.find(inspection.at("/sites"), site -> site.at("/path").asText().equals(path));
  }

  private static JsonNode json(Object... arguments) throws IOException {
    Object[] all = Arrays.copyOf(arguments, arguments.length + 1);
    all[arguments.length] = "--json";
    Cli cli = Cli.run(all);
    assertThat(cli.exit()).as(cli.err()).isZero();
    return new ObjectMapper().readTree(cli.out());
  }
}
