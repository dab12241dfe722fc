package io.peft4j.compress.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.PeftException;
import io.peft4j.data.BatchSource;
import io.peft4j.data.FeatureBatches;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class StaticInt8Test {
  private static final Graph LINEAR = SmallModel.tied();

  /**
   * Entropy compares distributions and needs more numbers than these; see {@link HistogramTest}.
   */
  @ParameterizedTest
  @EnumSource(value = Calibration.Method.class, mode = EnumSource.Mode.EXCLUDE, names = "ENTROPY")
  void onnxRuntimeGivesNearlyTheSameLogits(Calibration.Method method) {
    Graph made =
        StaticInt8.calibrated(LINEAR, SmallModel.rows(), Calibration.of(method))
            .apply(LINEAR)
            .graph();
    try (Program before = runtime(LINEAR);
        Program after = runtime(made);
        Program torch = TorchEngine.compile(made, CompileOptions.evaluation())) {
      assertThat(SmallModel.error(before, after)).isBetween(1e-4, 0.03);
      assertThat(SmallModel.error(torch, after)).isLessThan(0.01); // a number may move one step
    }
  }

  @Test
  void convolutionsBehindEachOtherStayIntegers() {
    Graph graph = convolutions();
    StaticInt8 way =
        StaticInt8.calibrated(graph, pictures(), Calibration.of(Calibration.Method.MINMAX));
    QuantizedModel made = way.apply(graph);
    assertThat(made.quantized()).containsExactly("first", "second");
    // Between input and output nothing takes a float but the operators that round it.
    List<Node> nodes = made.graph().nodes();
    for (Node node : nodes) {
      if (node.is("Conv") || node.is("Add")) {
        assertThat(node.inputs())
            .allSatisfy(
                input ->
                    assertThat(nodes)
                        .anyMatch(n -> n.is("DequantizeLinear") && n.output().equals(input)));
      }
    }
    Map<String, Tensor> input = pictures().batch(new int[] {0, 1, 2});
    try (Program before = runtime(graph);
        Program after = runtime(made.graph());
        Program torch = TorchEngine.compile(made.graph(), CompileOptions.evaluation())) {
      Map<String, Tensor> picture = Map.of("x", input.get("x"));
      double[] expected = before.run(picture).get("y").toDoubles();
      double[] actual = after.run(picture).get("y").toDoubles();
      double[] other = torch.run(picture).get("y").toDoubles();
      double largest = 0;
      double worst = 0;
      double between = 0;
      for (int i = 0; i < expected.length; i++) {
        largest = Math.max(largest, Math.abs(expected[i]));
        worst = Math.max(worst, Math.abs(expected[i] - actual[i]));
        between = Math.max(between, Math.abs(other[i] - actual[i]));
      }
      assertThat(worst / largest).isBetween(1e-4, 0.03);
      assertThat(between / largest).isLessThan(0.01);
    }
  }

  @Test
  void aValueWithoutARangeIsNamed() {
    assertThatThrownBy(() -> new StaticInt8(Map.of(), false, Set.of()).apply(LINEAR))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("/embed/Gather_output_0");
  }

  @Test
  void smoothingChangesNothingButTheUnevenness() {
    Graph uneven = SmallModel.uneven();
    Quantization way = DynamicInt8.standard().excluding(List.of("embed", "down", "head"));
    Graph smooth = Smoothing.standard().apply(uneven, way, SmallModel.rows());
    Graph before = way.apply(uneven).graph();
    Graph after = way.apply(smooth).graph();
    try (Program expected = runtime(uneven);
        Program same = runtime(smooth);
        Program rough = runtime(before);
        Program even = runtime(after)) {
      assertThat(SmallModel.error(expected, same)).isLessThan(1e-5);
      assertThat(SmallModel.error(expected, even))
          .isLessThan(SmallModel.error(expected, rough) / 3);
    }
  }

  /**
   * x [3, 40, 6, 6] through two convolutions, the first with a Relu, the second with a residual.
   */
  private static Graph convolutions() {
    Random random = new Random(7);
    GraphEditor editor = new GraphEditor("convolutions");
    editor.input(Value.of("x", DType.FLOAT32, "batch", 8 * 36));
    editor.initializer("shape", Tensor.vector(-1, 8, 6, 6));
    editor.initializer("first.weight", SmallModel.normal(random, 16, 8, 3, 3));
    editor.initializer("first.bias", SmallModel.normal(random, 16));
    editor.initializer("second.weight", SmallModel.normal(random, 16, 16, 3, 3));
    Map<String, Attribute> padded = Map.of("pads", Attribute.ofInts(1, 1, 1, 1));
    String image = editor.node("/Reshape", "Reshape", List.of("x", "shape"));
    String first =
        editor.node("/first/Conv", "Conv", List.of(image, "first.weight", "first.bias"), padded);
    String relu = editor.node("/Relu", "Relu", List.of(first));
    String second = editor.node("/second/Conv", "Conv", List.of(relu, "second.weight"), padded);
    editor.add(Node.of("/Add", "Add", List.of(second, relu), List.of("y"), Map.of()));
    return editor.output(Value.of("y", DType.FLOAT32, "batch", 16, 6, 6)).build();
  }

  private static BatchSource pictures() {
    float[] numbers = SmallModel.normal(new Random(9), 3, 8 * 36).toFloats();
    float[][] rows = new float[3][8 * 36];
    for (int i = 0; i < numbers.length; i++) {
      rows[i / (8 * 36)][i % (8 * 36)] = numbers[i];
    }
    return new FeatureBatches("x", rows, new long[3]);
  }

  private static Program runtime(Graph graph) {
    return InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(graph);
  }
}
