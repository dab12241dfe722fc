package io.peft4j.loaders.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.onnx.proto.OnnxMl.ModelProto;
import io.peft4j.UnsupportedModelException;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.Program;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.loaders.onnxruntime.OnnxRuntimeEngine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Operators as older operator sets write them: ONNX Runtime, which still knows those sets, must
 * give the same outputs for the old file as for the upgraded graph.
 */
class OpsetUpgradeTest {
  @TempDir Path folder;

  /**
   * One old model.
   *
   * @param opset the version it is written in
   * @param shape of its input {@code x}
   * @param constants further inputs of the node, by name
   * @param outputs how many the node gives
   */
  private record Case(
      int opset,
      String op,
      long[] shape,
      Map<String, Attribute> attributes,
      List<Map.Entry<String, Tensor>> constants,
      int outputs) {
    @Override
    public String toString() {
      return op + " of opset " + opset + " " + attributes;
    }
  }

  private static Case old(int opset, String op, long[] shape, Object... attributes) {
    Map<String, Attribute> map = new java.util.LinkedHashMap<>();
    for (int i = 0; i < attributes.length; i += 2) {
      map.put((String) attributes[i], (Attribute) attributes[i + 1]);
    }
    return new Case(opset, op, shape, map, List.of(), 1);
  }

  private static Case with(Case old, String name, Tensor constant) {
    List<Map.Entry<String, Tensor>> constants = new ArrayList<>(old.constants());
    constants.add(Map.entry(name, constant));
    return new Case(old.opset(), old.op(), old.shape(), old.attributes(), constants, old.outputs());
  }

  private static Case giving(Case old, int outputs) {
    return new Case(old.opset(), old.op(), old.shape(), old.attributes(), old.constants(), outputs);
  }

  private static long[] of(long... shape) {
    return shape;
  }

  private static Tensor floats(float... values) {
    return Tensor.ofFloats(new long[] {values.length}, values);
  }

  static Stream<Case> cases() {
    Attribute axis0 = Attribute.of(0L);
    return Stream.of(
        old(9, "Softmax", of(2, 3, 4)),
        old(11, "Softmax", of(2, 3, 4), "axis", Attribute.of(2L)),
        old(12, "Softmax", of(2, 3, 4), "axis", Attribute.of(-1L)),
        old(12, "Softmax", of(2, 3, 4), "axis", Attribute.of(-2L)),
        old(9, "LogSoftmax", of(2, 3, 4), "axis", axis0),
        old(9, "Hardmax", of(2, 3, 4)),
        old(13, "Softmax", of(2, 3, 4), "axis", Attribute.of(1L)),
        old(
            9,
            "Slice",
            of(4, 5),
            "starts",
            Attribute.ofInts(1, 0),
            "ends",
            Attribute.ofInts(3, -1)),
        old(
            9,
            "Slice",
            of(4, 5, 6),
            "starts",
            Attribute.ofInts(2),
            "ends",
            Attribute.ofInts(900),
            "axes",
            Attribute.ofInts(2)),
        old(9, "Clip", of(3, 4), "min", Attribute.of(-0.5f), "max", Attribute.of(0.5f)),
        old(9, "Clip", of(3, 4), "max", Attribute.of(0.25f)),
        old(9, "Clip", of(3, 4)),
        giving(old(9, "TopK", of(3, 6), "k", Attribute.of(2L)), 2),
        giving(old(9, "TopK", of(6, 3), "k", Attribute.of(4L), "axis", axis0), 2),
        old(9, "Dropout", of(3, 4), "ratio", Attribute.of(0.4f)),
        old(9, "Pad", of(2, 3), "pads", Attribute.ofInts(1, 0, 0, 2), "value", Attribute.of(7f)),
        old(
            9,
            "Pad",
            of(2, 4),
            "pads",
            Attribute.ofInts(0, 2, 0, 1),
            "mode",
            Attribute.of("reflect")),
        giving(old(9, "Split", of(6, 2), "split", Attribute.ofInts(1, 2, 3)), 3),
        giving(old(9, "Split", of(2, 6), "axis", Attribute.of(1L)), 2),
        giving(old(13, "Split", of(4, 6), "axis", axis0), 2),
        old(9, "Squeeze", of(1, 3, 1, 2)),
        old(12, "Squeeze", of(1, 3, 1, 2), "axes", Attribute.ofInts(0)),
        old(9, "Unsqueeze", of(3, 2), "axes", Attribute.ofInts(0, 3)),
        old(9, "ReduceSum", of(2, 3, 4), "axes", Attribute.ofInts(1), "keepdims", axis0),
        old(12, "ReduceSum", of(2, 3, 4)),
        old(9, "ReduceMean", of(2, 3, 4), "axes", Attribute.ofInts(-1)),
        old(13, "ReduceMean", of(2, 3, 4), "keepdims", axis0),
        old(17, "ReduceMax", of(2, 3, 4), "axes", Attribute.ofInts(0, 2)),
        old(13, "ReduceL2", of(2, 3, 4), "axes", Attribute.ofInts(2)),
        old(13, "ReduceLogSumExp", of(2, 3), "axes", Attribute.ofInts(0)),
        with(old(9, "Upsample", of(1, 1, 2, 3)), "scales", floats(1, 1, 2, 2)),
        with(
            old(9, "Upsample", of(1, 1, 2, 3), "mode", Attribute.of("linear")),
            "scales",
            floats(1, 1, 2, 3)),
        with(old(10, "Resize", of(1, 1, 4, 6)), "scales", floats(1, 1, 0.5f, 1.5f)),
        with(
            old(10, "Resize", of(1, 1, 4, 4), "mode", Attribute.of("linear")),
            "scales",
            floats(1, 1, 2, 0.5f)),
        with(
            with(
                old(10, "Scatter", of(3, 3), "axis", Attribute.of(1L)),
                "indices",
                Tensor.ofLongs(of(3, 2), 0, 2, 1, 0, 2, 1)),
            "updates",
            Tensor.ofFloats(of(3, 2), 9, 8, 7, 6, 5, 4)),
        with(
            with(
                with(
                    with(old(9, "BatchNormalization", of(2, 3, 2)), "scale", floats(1, 2, 3)),
                    "shift",
                    floats(0, 1, -1)),
                "mean",
                floats(0.5f, 0, 1)),
            "variance",
            floats(1, 4, 9)),
        with(
            old(16, "GridSample", of(1, 1, 3, 3), "mode", Attribute.of("bicubic")),
            "grid",
            Tensor.ofFloats(of(1, 1, 2, 2), -0.5f, 0.2f, 0.9f, -0.1f)),
        with(
            old(16, "GridSample", of(1, 1, 3, 3)),
            "grid",
            Tensor.ofFloats(of(1, 1, 2, 2), -0.5f, 0.2f, 0.9f, -0.1f)),
        old(17, "DFT", of(2, 5, 4, 1), "axis", Attribute.of(2L)),
        old(17, "DFT", of(2, 5, 4, 1)),
        with(
            with(
                old(
                    10,
                    "RoiAlign",
                    of(1, 1, 6, 6),
                    "output_height",
                    Attribute.of(2L),
                    "output_width",
                    Attribute.of(2L)),
                "rois",
                Tensor.ofFloats(of(1, 4), 0.4f, 0.3f, 4.1f, 5.2f)),
            "indices",
            Tensor.vector(0)),
        with(
            with(
                old(18, "GroupNormalization", of(2, 4, 3), "num_groups", Attribute.of(2L)),
                "scale",
                floats(1, 2)),
            "shift",
            floats(0.5f, -0.5f)));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void theUpgradedGraphGivesWhatTheOldFileGives(Case old) throws IOException {
    Path file = write(old);
    Graph upgraded = OnnxReader.read(file);
    float[] numbers = new float[Math.toIntExact(Tensor.elements(old.shape()))];
    Random random = new Random(3);
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = (float) random.nextGaussian();
    }
    Map<String, Tensor> inputs = Map.of("x", Tensor.ofFloats(old.shape(), numbers));
    try (Program before = new OnnxRuntimeEngine().open(file);
        Program after = new OnnxRuntimeEngine().compile(upgraded)) {
      Map<String, Tensor> expected = before.run(inputs);
      Map<String, Tensor> actual = after.run(inputs);
      assertThat(actual.keySet()).isEqualTo(expected.keySet()).hasSize(old.outputs());
      expected.forEach(
          (name, tensor) -> {
            assertThat(actual.get(name).shape()).isEqualTo(tensor.shape());
            assertThat(OutputDifference.largest(tensor, actual.get(name))).isLessThan(1e-6);
          });
    }
  }

  static Stream<Case> refusals() {
    Case normalization = old(9, "BatchNormalization", of(2, 3, 2));
    for (String name : List.of("scale", "shift", "mean", "variance")) {
      normalization = with(normalization, name, floats(1, 1, 1));
    }
    return Stream.of(
        giving(normalization, 5),
        giving(old(10, "Dropout", of(3, 4)), 2),
        with(
            with(
                old(
                    11,
                    "Resize",
                    of(1, 1, 2, 2),
                    "coordinate_transformation_mode",
                    Attribute.of("tf_half_pixel_for_nn")),
                "roi",
                floats()),
            "scales",
            floats(1, 1, 2, 2)));
  }

  @ParameterizedTest
  @MethodSource("refusals")
  void whatHasNoEqualIsRefusedByName(Case old) throws IOException {
    Path file = write(old);
    assertThatThrownBy(() -> OnnxReader.read(file))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("old.onnx")
        .hasMessageContaining(old.op());
  }

  @Test
  void aGraphOfTheCurrentSetIsLeftAlone() {
    Graph graph = graph(old(21, "Softmax", of(2, 3)));
    assertThat(OpsetUpgrade.upgrade(graph, Graph.OPSET)).isSameAs(graph);
  }

  @Test
  void bodiesOfControlFlowAreUpgradedToo() {
    GraphEditor body = new GraphEditor("body");
    body.capture("x");
    Map<String, Attribute> last = Map.of("axes", Attribute.ofInts(-1));
    body.add(Node.of("sum", "ReduceSum", List.of("x"), List.of("s"), last));
    body.output(Value.of("s", DType.FLOAT32, 2, 1));
    GraphEditor editor = new GraphEditor("choice");
    editor.input(Value.of("x", DType.FLOAT32, 2, 3)).input(Value.of("c", DType.BOOL));
    Attribute branch = new Attribute.GraphValue(body.build());
    editor.add(
        Node.of(
            "if",
            "If",
            List.of("c"),
            List.of("y"),
            Map.of("then_branch", branch, "else_branch", branch)));
    editor.output(Value.of("y", DType.FLOAT32, 2, 1));
    Graph upgraded = OpsetUpgrade.upgrade(editor.build(), 12);
    Node sum =
        upgraded.nodes().get(0).attributes().get("then_branch").graphs().get(0).nodes().get(0);
    assertThat(sum.inputs()).hasSize(2);
    assertThat(sum.attributes()).isEmpty();
  }

  private static Graph graph(Case old) {
    GraphEditor editor = new GraphEditor("old");
    Object[] sizes = java.util.Arrays.stream(old.shape()).boxed().toArray();
    editor.input(Value.of("x", DType.FLOAT32, sizes));
    List<String> inputs = new ArrayList<>(List.of("x"));
    old.constants()
        .forEach(
            c -> {
              editor.initializer(c.getKey(), c.getValue());
              inputs.add(c.getKey());
            });
    List<String> outputs = new ArrayList<>();
    for (int i = 0; i < old.outputs(); i++) {
      outputs.add("y" + i);
      boolean indices = old.op().equals("TopK") && i == 1;
      editor.output(new Value("y" + i, indices ? DType.INT64 : DType.FLOAT32, null));
    }
    return editor.add(Node.of("node", old.op(), inputs, outputs, old.attributes())).build();
  }

  private Path write(Case old) throws IOException {
    Path file = folder.resolve("old.onnx");
    OnnxWriter.write(graph(old), file);
    ModelProto.Builder model = ModelProto.parseFrom(Files.readAllBytes(file)).toBuilder();
    model.setIrVersion(8).getOpsetImportBuilder(0).setVersion(old.opset());
    return Files.write(file, model.build().toByteArray());
  }
}
