package io.peft4j.loaders.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.CheckpointFormatException;
import io.peft4j.graph.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class SafeTensorsShardsTest {
  @TempDir Path folder;

  @BeforeEach
  void writeShards() {
    SafeTensors.write(
        folder.resolve("one.safetensors"),
        Map.of("a", Tensor.scalar(1f), "b", Tensor.scalar(2f)),
        Map.of("format", "pt"));
    SafeTensors.write(folder.resolve("two.safetensors"), Map.of("c", Tensor.scalar(3f)), Map.of());
  }

  private Path index(String json) throws IOException {
    return Files.writeString(folder.resolve("model.safetensors.index.json"), json);
  }

  @Test
  void shardsAreReadAsOne() throws IOException {
    Path index =
        index(
            "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"c\":\"two.safetensors\","
                + "\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}}");
    SafeTensorsFile read = SafeTensors.readSharded(index);
    assertThat(read.tensors().keySet()).containsExactly("a", "b", "c");
    assertThat(read.tensor("c").item()).isEqualTo(3);
    assertThat(read.metadata()).containsExactly(Map.entry("format", "pt"));
  }

  static Stream<Arguments> damagedIndexes() {
    return Stream.of(
        Arguments.of("", "weight_map"),
        Arguments.of("[]", "weight_map"),
        Arguments.of("{\"weight_map\":3}", "weight_map"),
        Arguments.of("{\"weight_map\":{}} x", "JSON"),
        Arguments.of("{\"weight_map\":{\"a\":1}}", "'a'"),
        Arguments.of("{\"weight_map\":{\"a\":\"x\",\"a\":\"y\"}}", "Duplicate"),
        Arguments.of("{\"weight_map\":{\"a\":\"../one.safetensors\"}}", "same folder"),
        Arguments.of("{\"weight_map\":{\"a\":\"..\"}}", "same folder"),
        Arguments.of("{\"weight_map\":{\"a\":\"/one.safetensors\"}}", "same folder"),
        Arguments.of("{\"weight_map\":{\"a\":\"x\\\\one.safetensors\"}}", "same folder"),
        Arguments.of("{\"weight_map\":{\"a\":\"\\u0000\"}}", "same folder"),
        Arguments.of("{\"weight_map\":{\"a\":\"gone.safetensors\"}}", "gone.safetensors"),
        Arguments.of("{\"weight_map\":{\"a\":\"one.safetensors\"}}", "tensor 'b'"),
        Arguments.of(
            "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\","
                + "\"c\":\"one.safetensors\"}}",
            "tensor 'c' is not in one.safetensors"),
        Arguments.of(
            "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\","
                + "\"c\":\"two.safetensors\",\"d\":\"two.safetensors\"}}",
            "tensor 'd' is not in two.safetensors"));
  }

  @ParameterizedTest
  @MethodSource("damagedIndexes")
  void anIndexThatIsNotTrueIsRefused(String json, String message) throws IOException {
    Path index = index(json);
    assertThatThrownBy(() -> SafeTensors.readSharded(index))
        .isInstanceOf(CheckpointFormatException.class)
        .hasMessageContaining(message);
  }
}
