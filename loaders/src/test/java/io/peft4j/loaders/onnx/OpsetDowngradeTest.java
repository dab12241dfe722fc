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
import io.peft4j.loaders.GoldenCase;
import io.peft4j.loaders.onnxruntime.OnnxRuntimeEngine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Files of older operator sets: ONNX Runtime, which checks each node against the set that the file
 * names, must give the same outputs for them as for the file of the current set.
 */
class OpsetDowngradeTest {
  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({
    "bert-dynamo,17",
    "bert-dynamo,18",
    "bert-dynamo,19",
    "bert-dynamo,20",
    "bert-fp16,17",
    "bert-int8,17",
    "gpt2,17",
    "llama,17",
    "resnet-bn,17",
    "t5-encoder,18",
    "vit,17",
    "vit,19"
  })
  void exportsGiveTheirGoldenOutputsInOlderSets(String name, int opset) throws IOException {
    GoldenCase golden = GoldenCase.of("onnx", name);
    Path file = folder.resolve("old.onnx");
    Graph graph = OnnxReader.read(golden.folder().resolve("model.onnx"));
    OnnxWriter.write(graph, opset, file);
    ModelProto model = ModelProto.parseFrom(Files.readAllBytes(file));
    assertThat(model.getOpsetImport(0).getVersion()).isEqualTo(opset);
    assertThat(model.getIrVersion()).isEqualTo(opset < 19 ? 8 : 9);
    try (Program program = new OnnxRuntimeEngine().open(file)) {
      assertThat(golden.errors(program)).allSatisfy((k, v) -> assertThat(v).isLessThan(1));
    }
  }

  /** One node of the current set, its inputs {@code x} and constants. */
  private record Case(
      int opset,
      String op,
      Map<String, Attribute> attributes,
      List<Tensor> constants,
      int outputs) {
    @Override
    public String toString() {
      return op + " in opset " + opset + " " + attributes;
    }
  }

  private static Case in(int opset, String op, Object... rest) {
    Map<String, Attribute> attributes = new LinkedHashMap<>();
    List<Tensor> constants = new ArrayList<>();
    for (int i = 0; i < rest.length; i++) {
      if (rest[i] instanceof String key) {
        attributes.put(key, (Attribute) rest[++i]);
      } else {
        constants.add((Tensor) rest[i]);
      }
    }
    return new Case(opset, op, attributes, constants, op.equals("Split") ? 2 : 1);
  }

  private static Tensor empty() {
    return Tensor.ofFloats(new long[] {0});
  }

  static Stream<Case> cases() {
    Attribute drop = Attribute.of(0L);
    Attribute one = Attribute.of(1L);
    Tensor grid = Tensor.ofFloats(new long[] {1, 1, 2, 2}, -0.5f, 0.2f, 0.9f, -0.1f);
    Tensor scales = Tensor.ofFloats(new long[] {4}, 1, 1, 2, 2);
    return Stream.of(
        in(17, "Gelu"),
        in(19, "Gelu", "approximate", Attribute.of("tanh")),
        in(17, "Mish"),
        in(17, "ReduceMean", Tensor.vector(-1)),
        in(17, "ReduceMax", Tensor.vector(1, 3), "keepdims", drop),
        in(17, "ReduceL2", "keepdims", drop),
        in(17, "Split", "num_outputs", Attribute.of(2L), "axis", one),
        in(17, "GridSample", grid, "mode", Attribute.of("cubic")),
        in(19, "GridSample", grid),
        in(17, "Resize", empty(), scales, "mode", Attribute.of("linear"), "antialias", drop),
        in(
            17,
            "AveragePool",
            "kernel_shape",
            Attribute.ofInts(2, 2),
            "dilations",
            Attribute.ofInts(1, 1)),
        in(17, "Cast", "to", Attribute.of(11L), "saturate", one),
        in(18, "QuantizeLinear", Tensor.scalar(0.05f), "saturate", one),
        in(20, "QuantizeLinear", Tensor.scalar(0.05f)),
        in(17, "Pad", Tensor.vector(0, 0, 1, 0, 0, 0, 0, 2), "mode", Attribute.of("reflect")));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void theOldFileGivesWhatTheGraphGives(Case one) throws IOException {
    Graph graph = graph(one);
    Path file = folder.resolve("old.onnx");
    OnnxWriter.write(graph, one.opset(), file);
    float[] numbers = new float[4 * 6 * 5];
    Random random = new Random(3);
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = (float) random.nextGaussian();
    }
    Map<String, Tensor> inputs = Map.of("x", Tensor.ofFloats(new long[] {1, 4, 6, 5}, numbers));
    try (Program current = new OnnxRuntimeEngine().compile(graph);
        Program old = new OnnxRuntimeEngine().open(file)) {
      Map<String, Tensor> expected = current.run(inputs);
      Map<String, Tensor> actual = old.run(inputs);
      expected.forEach(
          (name, tensor) -> {
            assertThat(actual.get(name).shape()).isEqualTo(tensor.shape());
            assertThat(OutputDifference.largest(tensor, actual.get(name))).isLessThan(1e-6);
          });
    }
  }

  static Stream<Case> refusals() {
    return Stream.of(
        in(19, "AffineGrid", Tensor.vector(1, 1, 2, 2)),
        in(
            20,
            "GroupNormalization",
            Tensor.zeros(DType.FLOAT32, 4),
            Tensor.zeros(DType.FLOAT32, 4)),
        in(18, "Pad", Tensor.vector(0, 0, 0, 0, 0, 0, 0, 1), "mode", Attribute.of("wrap")),
        in(
            17,
            "Resize",
            empty(),
            Tensor.ofFloats(new long[] {4}, 1, 1, 2, 2),
            "antialias",
            Attribute.of(1L)),
        in(18, "AveragePool", "dilations", Attribute.ofInts(2, 2)),
        in(17, "ScatterND", Tensor.vector(0), Tensor.vector(0), "reduction", Attribute.of("max")),
        in(19, "DequantizeLinear", Tensor.scalar(1f), "block_size", Attribute.of(2L)));
  }

  @ParameterizedTest
  @MethodSource("refusals")
  void whatTheOldSetLacksIsRefusedByName(Case one) {
    Path file = folder.resolve("old.onnx");
    assertThatThrownBy(() -> OnnxWriter.write(graph(one), one.opset(), file))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining(one.op() + " 'node'")
        .hasMessageContaining("opset " + one.opset());
    assertThat(file).doesNotExist();
  }

  @Test
  void axesThatAreComputedAndTypesThatCameLaterAreRefused() {
    GraphEditor editor = new GraphEditor("computed");
    editor.input(Value.of("x", DType.FLOAT32, 2, 3)).input(Value.of("axes", DType.INT64, 1));
    editor.add(Node.of("max", "ReduceMax", List.of("x", "axes"), List.of("y"), Map.of()));
    Graph graph = editor.output(new Value("y", DType.FLOAT32, null)).build();
    assertThatThrownBy(() -> OpsetDowngrade.downgrade(graph, 17))
        .hasMessageContaining("ReduceMax 'max' computes its axes");
    Graph narrow = graph.edit().initializer("w", Tensor.zeros(DType.INT4, 2)).build();
    assertThatThrownBy(() -> OpsetDowngrade.downgrade(narrow, 20))
        .hasMessageContaining("weight 'w' is");
    assertThatThrownBy(() -> OpsetDowngrade.downgrade(graph, 16)).hasMessageContaining("17 to 21");
    assertThat(OpsetDowngrade.downgrade(graph, 18).nodes()).isEqualTo(graph.nodes());
  }

  /** ONNX Runtime does not run this one, the specification has it. */
  @Test
  void aReductionOverNoAxesIsTheIdentity() {
    Graph graph = graph(in(17, "ReduceMin", "noop_with_empty_axes", Attribute.of(1L)));
    assertThat(OpsetDowngrade.downgrade(graph, 17).nodes())
        .singleElement()
        .satisfies(node -> assertThat(node.is("Identity")).isTrue());
  }

  @Test
  void bodiesOfControlFlowAreRewrittenWithConstantsFromAround() {
    GraphEditor body = new GraphEditor("body");
    body.capture("x").capture("axes");
    body.add(Node.of("max", "ReduceMax", List.of("x", "axes"), List.of("s"), Map.of()));
    body.output(Value.of("s", DType.FLOAT32, 2, 1));
    GraphEditor editor = new GraphEditor("choice");
    editor.input(Value.of("x", DType.FLOAT32, 2, 3)).input(Value.of("c", DType.BOOL));
    editor.initializer("axes", Tensor.vector(-1));
    Attribute branch = new Attribute.GraphValue(body.build());
    editor.add(
        Node.of(
            "if",
            "If",
            List.of("c"),
            List.of("y"),
            Map.of("then_branch", branch, "else_branch", branch)));
    editor.output(Value.of("y", DType.FLOAT32, 2, 1));
    Graph old = OpsetDowngrade.downgrade(editor.build(), 17);
    Node max = old.nodes().get(0).attributes().get("then_branch").graphs().get(0).nodes().get(0);
    assertThat(max.inputs()).containsExactly("x");
    assertThat(max.intsAttribute("axes")).containsExactly(-1);
  }

  private static Graph graph(Case one) {
    GraphEditor editor = new GraphEditor("current");
    editor.input(Value.of("x", DType.FLOAT32, 1, 4, 6, 5));
    List<String> inputs = new ArrayList<>(List.of("x"));
    one.constants().forEach(c -> inputs.add(editor.constant("c", c)));
    List<String> outputs = new ArrayList<>();
    for (int i = 0; i < one.outputs(); i++) {
      outputs.add("y" + i);
      DType type =
          one.op().equals("QuantizeLinear")
              ? DType.UINT8
              : one.op().equals("Cast") ? DType.FLOAT64 : DType.FLOAT32;
      editor.output(new Value("y" + i, type, null));
    }
    return editor.add(Node.of("node", one.op(), inputs, outputs, one.attributes())).build();
  }
}
