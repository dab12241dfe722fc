package io.peft4j.compress.quantize;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.PretrainedModel;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.passes.DequantizedWeights;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class WeightFormatTest {
  private static final Graph MODEL = SmallModel.tied();

  private static Map<String, Tensor> golden(String name) {
    return SafeTensors.read(Path.of("src/test/resources/compression", name + ".safetensors"))
        .tensors();
  }

  static List<WeightFormat> formats() {
    return List.of(
        new WeightFormat.Int8(true),
        new WeightFormat.Int8(false),
        new WeightFormat.Int4(16),
        new WeightFormat.Int4(24), // does not divide the axis
        new WeightFormat.Nf4(64, false),
        new WeightFormat.Nf4(60, true)); // does not divide the weights
  }

  @Test
  void fourBitGroupsAreTheReference() {
    Map<String, Tensor> golden = golden("int4_group");
    QuantizedTensor made = Groups.of(golden.get("weight"), 1, 8, DType.UINT4);
    assertThat(made.values().toLongs()).isEqualTo(golden.get("q").toLongs());
    assertThat(made.zero().toLongs()).isEqualTo(golden.get("zero").toLongs());
    assertThat(made.scale().contentEquals(golden.get("scale"))).isTrue();
    assertThat(made.dequantized().contentEquals(golden.get("dequantised"))).isTrue();
  }

  @Test
  void groupsMayLieAlongTheFirstAxis() {
    Tensor weight = golden("int4_group").get("weight");
    QuantizedTensor rows = Groups.of(weight, 1, 8, DType.UINT4);
    QuantizedTensor columns = Groups.of(weight.transposed(1, 0), 0, 8, DType.UINT4);
    assertThat(columns.dequantized().transposed(1, 0).contentEquals(rows.dequantized())).isTrue();
  }

  @ParameterizedTest
  @ValueSource(strings = {"even", "ragged"})
  void normalFloatsAreTheReference(String name) {
    Map<String, Tensor> golden = golden("nf4");
    NormalFloat4 made = NormalFloat4.of(golden.get(name + ".weight"), 64);
    long[] indices = golden.get(name + ".index").toLongs();
    assertThat(made.indices().toLongs()).startsWith(indices);
    assertThat(made.scale().contentEquals(golden.get(name + ".absmax"))).isTrue();
    assertThat(NormalFloat4.codes().contentEquals(golden.get("code"))).isTrue();
    assertThat(made.dequantized().contentEquals(golden.get(name + ".dequantised"))).isTrue();
  }

  @ParameterizedTest
  @MethodSource("formats")
  void bothEnginesRunTheFileAndGiveTheSame(WeightFormat format) {
    QuantizedModel made = WeightOnly.in(format).apply(MODEL);
    assertThat(made.quantized()).containsExactly("embed", "up", "gate", "down", "head");
    try (Program runtime =
            InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(made.graph());
        Program torch = TorchEngine.compile(made.graph(), CompileOptions.evaluation())) {
      assertThat(SmallModel.error(torch, runtime)).isLessThan(tolerance(format));
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void foldedItIsTheImportedGraphWithOtherWeights(WeightFormat format) {
    Graph made = WeightOnly.in(format).apply(MODEL).graph();
    Graph plain = DequantizedWeights.fold(made);
    assertThat(plain.nodes()).isEqualTo(MODEL.nodes());
    assertThat(plain.initializers().keySet()).hasSameElementsAs(MODEL.initializers().keySet());
    try (Program folded = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(plain);
        Program runtime = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(made)) {
      assertThat(SmallModel.error(folded, runtime)).isLessThan(tolerance(format));
    }
  }

  /** ONNX Runtime computes with 4-bit groups of a power of two in int8, inputs included. */
  private static double tolerance(WeightFormat format) {
    return format.equals(new WeightFormat.Int4(16)) ? 0.02 : 1e-6;
  }

  @ParameterizedTest
  @MethodSource("formats")
  void weightsComeBackAsTheyWereQuantised(WeightFormat format) {
    Graph plain = DequantizedWeights.fold(WeightOnly.in(format).apply(MODEL).graph());
    // Half a step of a range twice the largest weight; half the widest gap of NF4, 1 to 0.696.
    double step = format.label().equals("int8") ? 1 / 254.0 : 1 / 15.0;
    double share = format.label().equals("nf4") ? 0.16 : step;
    for (String name : List.of("embed.weight", "up.weight", "down.weight")) {
      double difference =
          OutputDifference.largest(plain.initializer(name), MODEL.initializer(name));
      double largest =
          Arrays.stream(MODEL.initializer(name).toDoubles()).map(Math::abs).max().orElseThrow();
      assertThat(difference / largest).isBetween(share / 10, share);
    }
  }

  @Test
  void aFourBitFileIsAnEighthOfTheWeights() {
    Graph wide = WeightOnly.in(new WeightFormat.Nf4(64, true)).apply(MODEL).graph();
    long before = MODEL.initializers().values().stream().mapToLong(Tensor::byteSize).sum();
    long after = wide.initializers().values().stream().mapToLong(Tensor::byteSize).sum();
    assertThat(after).isLessThan(before / 5); // the small model's biases and codes count
  }

  @Test
  void aQuantisedModelIsAttachedToAsItsFloatWeights() {
    Graph quantized = WeightOnly.in(new WeightFormat.Int8(true)).apply(MODEL).graph();
    PretrainedModel plain = PretrainedModel.of(quantized).dequantized();
    assertThat(plain.sites().linears()).hasSize(PretrainedModel.of(MODEL).sites().linears().size());
    assertThat(PretrainedModel.of(MODEL).dequantized().graph()).isSameAs(MODEL);
  }

  @Test
  void allZeroWeightsStayZero() {
    Tensor zeros = Tensor.zeros(DType.FLOAT32, 3, 10);
    assertThat(NormalFloat4.of(zeros, 8).dequantized().toFloats()).containsOnly(0);
    assertThat(Groups.of(zeros, 1, 4, DType.UINT4).dequantized().toFloats()).containsOnly(0);
  }

  @Test
  void eightBitGroupsHoldScalesToHalfAStep() {
    Tensor scales = SmallModel.normal(new Random(5), 300, 1);
    QuantizedTensor made = Groups.of(scales, 0, 256, DType.UINT8);
    assertThat(made.scale().shape()).containsExactly(2, 1);
    assertThat(OutputDifference.largest(scales, made.dequantized())).isBetween(1e-4, 0.016);
  }
}
