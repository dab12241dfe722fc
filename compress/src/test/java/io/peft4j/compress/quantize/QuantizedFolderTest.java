package io.peft4j.compress.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.CheckpointFormatException;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.passes.DequantizedWeights;
import io.peft4j.loaders.safetensors.QuantizedTensors;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.loaders.safetensors.SafeTensorsFile;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class QuantizedFolderTest {
  private static final Path MODEL = Path.of("../loaders/src/test/resources/families/bert-model");

  @TempDir Path folder;

  static List<WeightFormat> formats() {
    return List.of(
        new WeightFormat.Int8(true),
        new WeightFormat.Int8(false),
        new WeightFormat.Int4(16),
        new WeightFormat.Int4(24),
        new WeightFormat.Nf4(64, false),
        new WeightFormat.Nf4(60, true));
  }

  @ParameterizedTest
  @MethodSource("formats")
  void readAgainItHasTheNumbersThatTheOnnxFileHas(WeightFormat format) {
    PretrainedModel model = Checkpoints.open(MODEL);
    WeightOnly way = WeightOnly.in(format);
    Path target = folder.resolve("small");
    QuantizedModel made = QuantizedFolder.write(model.checkpoint(), model.graph(), way, target);
    assertThat(made.quantized()).isNotEmpty();
    Graph expected = DequantizedWeights.fold(way.apply(model.graph()).graph());
    Graph actual = Checkpoints.open(target).graph();
    assertThat(actual.parameters()).hasSameElementsAs(expected.parameters());
    for (String name : expected.parameters()) {
      assertThat(actual.initializer(name).toFloats())
          .as(name)
          .isEqualTo(expected.initializer(name).toFloats());
    }
  }

  @Test
  void anOnnxFileHasNoFolderToWriteAfter() {
    PretrainedModel model = PretrainedModel.of(SmallModel.tied());
    WeightOnly way = WeightOnly.in(new WeightFormat.Int8(true));
    assertThatThrownBy(
            () ->
                QuantizedFolder.write(
                    model.checkpoint(), model.graph(), way, folder.resolve("small")))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining(".onnx");
  }

  @Test
  void aFileThatContradictsItsMetadataIsRefused() {
    Map<String, Tensor> tensors = new HashMap<>();
    tensors.put("w.quantized", Tensor.ofLongs(new long[] {2, 2}, 1, 2, 3, 4));
    tensors.put("w.scale", Tensor.ofFloats(new long[] {3}, 1, 1, 1));
    String entry = "{\"w\": {\"format\": \"%s\", \"shape\": [2, 2], \"axis\": 0, \"block\": 0}}";
    assertRefused(tensors, entry.formatted("int8"), "contradicts");
    assertRefused(tensors, entry.formatted("int9"), "int9");
    assertRefused(tensors, "{", "no valid JSON");
    assertRefused(tensors, "[]", "no JSON object");
    tensors.remove("w.scale");
    assertRefused(tensors, entry.formatted("int8"), "'w.scale'");
  }

  private void assertRefused(Map<String, Tensor> tensors, String metadata, String says) {
    Path file = folder.resolve("model.safetensors");
    SafeTensors.write(file, tensors, Map.of(QuantizedTensors.METADATA_KEY, metadata));
    SafeTensorsFile read = SafeTensors.read(file);
    assertThatThrownBy(() -> QuantizedTensors.dequantized(read))
        .isInstanceOf(CheckpointFormatException.class)
        .hasMessageContaining("model.safetensors")
        .hasMessageContaining(says);
  }
}
