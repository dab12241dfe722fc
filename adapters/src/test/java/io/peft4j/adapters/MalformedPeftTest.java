package io.peft4j.adapters;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Damaged folders of every PEFT type are refused as they are loaded, each in one line. */
class MalformedPeftTest {
  @TempDir Path folder;

  /** The first case of each type on BERT. */
  static Stream<String> types() {
    Set<String> seen = new HashSet<>();
    return MethodCase.peftCases()
        .filter(name -> MethodCase.peft(name).baseName().equals("base-bert"))
        .filter(name -> seen.add(config(name).get("peft_type").asText()));
  }

  /** Those whose configuration names targets. */
  static Stream<String> targeted() {
    return types().filter(name -> config(name).path("target_modules").isArray());
  }

  private static ObjectNode config(String name) {
    return (ObjectNode)
        MethodCase.json(MethodCase.peft(name).folder().resolve("adapter_config.json"));
  }

  private static Map<String, Tensor> tensors(String name) {
    return new TreeMap<>(
        SafeTensors.read(MethodCase.peft(name).folder().resolve("adapter_model.safetensors"))
            .tensors());
  }

  private static String trained(Map<String, Tensor> tensors) {
    return tensors.keySet().stream()
        .filter(key -> tensors.get(key).dtype().isFloat())
        .findFirst()
        .orElseThrow();
  }

  private void refuses(
      PretrainedModel base, ObjectNode config, Map<String, Tensor> tensors, String... parts)
      throws IOException {
    Files.writeString(folder.resolve("adapter_config.json"), config.toString(), UTF_8);
    SafeTensors.write(folder.resolve("adapter_model.safetensors"), tensors, Map.of());
    Throwable error = catchThrowable(() -> base.load(folder));
    assertThat(error).isInstanceOf(PeftException.class).hasMessageNotContaining("\n");
    for (String part : parts) {
      assertThat(error).hasMessageContaining(part);
    }
  }

  @ParameterizedTest
  @MethodSource("types")
  void aTensorThatIsMissing(String name) throws IOException {
    Map<String, Tensor> tensors = tensors(name);
    String key = trained(tensors);
    tensors.remove(key);
    refuses(MethodCase.bert(), config(name), tensors, key);
  }

  @ParameterizedTest
  @MethodSource("types")
  void aTensorTooMany(String name) throws IOException {
    Map<String, Tensor> tensors = tensors(name);
    tensors.put("base_model.model.further.weight", Tensor.ofFloats(new long[] {1}, new float[1]));
    refuses(MethodCase.bert(), config(name), tensors, "base_model.model.further.weight");
  }

  @ParameterizedTest
  @MethodSource("types")
  void aTensorOfAnotherShape(String name) throws IOException {
    Map<String, Tensor> tensors = tensors(name);
    String key = trained(tensors);
    tensors.put(key, Tensor.ofFloats(new long[] {1, 1, 1}, new float[1]));
    refuses(MethodCase.bert(), config(name), tensors, key);
  }

  @ParameterizedTest
  @MethodSource("types")
  void aTensorThatIsNotFinite(String name) throws IOException {
    Map<String, Tensor> tensors = tensors(name);
    String key = trained(tensors);
    float[] values = tensors.get(key).toFloats();
    values[values.length - 1] = Float.NaN;
    tensors.put(key, Tensor.ofFloats(tensors.get(key).shape(), values));
    refuses(MethodCase.bert(), config(name), tensors, key, "NaN");
  }

  /** Cases whose files hold indices. */
  static Stream<String> indexed() {
    return MethodCase.peftCases()
        .filter(name -> MethodCase.peft(name).baseName().equals("base-bert"))
        .filter(name -> tensors(name).values().stream().anyMatch(t -> !t.dtype().isFloat()));
  }

  @ParameterizedTest
  @MethodSource("indexed")
  void anIndexOfNothing(String name) throws IOException {
    Map<String, Tensor> tensors = tensors(name);
    String key =
        tensors.keySet().stream()
            .filter(k -> !tensors.get(k).dtype().isFloat())
            .findFirst()
            .orElseThrow();
    Tensor indices = tensors.get(key);
    long[] values = indices.toLongs();
    values[0] = indices.dtype() == DType.UINT8 ? 255 : 9999;
    tensors.put(key, Tensor.ofLongs(indices.shape(), values).cast(indices.dtype()));
    refuses(MethodCase.bert(), config(name), tensors, key, "holds the index");
  }

  @ParameterizedTest
  @MethodSource("types")
  void aTypeThatIsNotKnown(String name) throws IOException {
    refuses(MethodCase.bert(), config(name).put("peft_type", "LORE"), tensors(name), "'LORE'");
  }

  @ParameterizedTest
  @MethodSource("types")
  void anotherBaseModel(String name) throws IOException {
    PretrainedModel other = Checkpoints.open(Path.of("src/test/resources/methods/base-llama"));
    refuses(other, config(name), tensors(name));
  }

  @ParameterizedTest
  @MethodSource("targeted")
  void aTargetThatMatchesNothing(String name) throws IOException {
    ObjectNode config = config(name);
    config.putArray("target_modules").add("no_such_layer");
    refuses(MethodCase.bert(), config, tensors(name), "no_such_layer");
  }

  @ParameterizedTest
  @MethodSource("targeted")
  void oneWrongNameAmongRightOnes(String name) throws IOException {
    ObjectNode config = config(name);
    config.withArray("target_modules").add("no_such_layer");
    refuses(MethodCase.bert(), config, tensors(name), "no_such_layer");
  }
}
