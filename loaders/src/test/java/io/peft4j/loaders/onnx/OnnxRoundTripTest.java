package io.peft4j.loaders.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import com.google.protobuf.ByteString;
import io.peft4j.PeftException;
import io.peft4j.UnsupportedModelException;
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
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class OnnxRoundTripTest {
  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {"bert-opset17", "bert-external", "llama", "bert-optimized", "sklearn-mlp"})
  void whatWasWrittenReadsAsTheSameGraph(String name) throws IOException {
    Graph graph = read(GoldenCase.of("onnx", name).folder().resolve("model.onnx"));
    OnnxWriter.write(graph, folder.resolve("again.onnx"));
    Graph again = read(folder.resolve("again.onnx"));
    assertSame(again, graph);
  }

  @Test
  void largeWeightsGoIntoAFileOfTheirOwn() throws IOException {
    GoldenCase golden = GoldenCase.of("onnx", "bert-opset17");
    Graph graph = read(golden.folder().resolve("model.onnx"));
    Path file = folder.resolve("large.onnx");
    OnnxWriter.write(graph, file, 10_000);
    assertThat(Files.size(folder.resolve("large.onnx.data"))).isGreaterThan(50_000);
    assertThat(Files.size(file)).isLessThan(80_000);
    assertSame(read(file), graph);
    try (Program program = new OnnxRuntimeEngine().open(file)) {
      assertThat(golden.errors(program)).allSatisfy((k, v) -> assertThat(v).isLessThan(1));
    }
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files.map(f -> f.getFileName().toString()))
          .containsExactlyInAnyOrder("large.onnx", "large.onnx.data");
    }
  }

  @Test
  void whatAnAdapterAddedIsFoundAgain() {
    Graph graph =
        sum().tagging("mine").initializer("extra", Tensor.scalar(1f)).train("extra").build();
    GraphEditor editor = graph.edit().tagging("mine").metadata("made by", "hand");
    String more = editor.node("more", "Add", List.of("sum", "extra"));
    Graph adapted = editor.clearOutputs().output(Value.of(more, DType.FLOAT32, "n", 4)).build();
    OnnxWriter.write(adapted, folder.resolve("adapted.onnx"));
    Graph again = read(folder.resolve("adapted.onnx"));
    assertThat(again.tags()).containsExactly(Map.entry("extra", "mine"));
    assertThat(again.trainable()).isEqualTo(Set.of("extra"));
    assertThat(again.nodes().get(1).tag()).isEqualTo("mine");
    assertThat(again.metadata()).containsEntry("made by", "hand");
  }

  @Test
  void operatorsOfTheEngineAreNeverWritten() {
    Graph graph =
        sum()
            .add(
                new Node(
                    "fused",
                    Graph.OWN_DOMAIN,
                    "Gelu",
                    List.of("sum"),
                    List.of("y"),
                    Map.of(),
                    "",
                    Map.of()))
            .build();
    assertThatThrownBy(() -> OnnxWriter.write(graph, folder.resolve("own.onnx")))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("fused");
    assertThat(folder.resolve("own.onnx")).doesNotExist();
  }

  @Test
  void aFailedWriteLeavesWhatWasThere() throws IOException {
    Path file = folder.resolve("kept.onnx");
    OnnxWriter.write(sum().build(), file);
    byte[] before = Files.readAllBytes(file);
    Graph broken =
        sum()
            .initializer(
                "late",
                Tensor.lazy(
                    DType.FLOAT32,
                    new long[] {4},
                    () -> {
                      throw new PeftException("no data");
                    }))
            .build();
    assertThatThrownBy(() -> OnnxWriter.write(broken, file)).hasMessageContaining("no data");
    assertThat(Files.readAllBytes(file)).isEqualTo(before);
  }

  /** One tensor a case: in its typed field, and the bytes that it must be read as. */
  static Stream<Object[]> encodings() {
    return Stream.of(
        new Object[] {
          tensor(DType.FLOAT32, 2).addFloatData(1).addFloatData(-2), "0000803f000000c0"
        },
        new Object[] {tensor(DType.FLOAT64, 1).addDoubleData(1), "000000000000f03f"},
        new Object[] {tensor(DType.INT32, 2).addInt32Data(-1).addInt32Data(7), "ffffffff07000000"},
        new Object[] {tensor(DType.INT64, 1).addInt64Data(-2), "feffffffffffffff"},
        new Object[] {tensor(DType.INT8, 2).addInt32Data(-1).addInt32Data(3), "ff03"},
        new Object[] {tensor(DType.UINT8, 2).addInt32Data(255).addInt32Data(3), "ff03"},
        new Object[] {tensor(DType.INT16, 1).addInt32Data(-2), "feff"},
        new Object[] {tensor(DType.UINT16, 1).addInt32Data(65534), "feff"},
        new Object[] {tensor(DType.BOOL, 2).addInt32Data(1).addInt32Data(0), "0100"},
        new Object[] {tensor(DType.FLOAT16, 1).addInt32Data(0x3c00), "003c"},
        new Object[] {tensor(DType.BFLOAT16, 1).addInt32Data(0x3f80), "803f"},
        new Object[] {tensor(DType.UINT32, 1).addUint64Data(4294967295L), "ffffffff"},
        new Object[] {tensor(DType.UINT64, 1).addUint64Data(-1L), "ffffffffffffffff"},
        new Object[] {tensor(DType.FLOAT8E4M3FN, 1).addInt32Data(0x38), "38"},
        new Object[] {tensor(DType.INT4, 3).addInt32Data(0x21).addInt32Data(0x0f), "210f"},
        new Object[] {
          tensor(DType.COMPLEX64, 1).addFloatData(1).addFloatData(-2), "0000803f000000c0"
        },
        new Object[] {
          tensor(DType.STRING, 2)
              .addStringData(ByteString.copyFromUtf8("ab"))
              .addStringData(ByteString.EMPTY),
          "0200000061620" + "0000000"
        });
  }

  @ParameterizedTest
  @MethodSource("encodings")
  void everyEncodingIsReadAndWrittenAsRawBytes(TensorProto.Builder proto, String hex)
      throws IOException {
    Path file = folder.resolve("typed.onnx");
    Files.write(file, constantModel(proto).toByteArray());
    Graph graph = read(file);
    assertThat(hex(graph.initializer("w"))).isEqualTo(hex);
    OnnxWriter.write(graph, folder.resolve("raw.onnx"));
    assertThat(
            read(folder.resolve("raw.onnx")).initializer("w").contentEquals(graph.initializer("w")))
        .isTrue();
  }

  @Test
  void bodiesOfControlFlowKeepWhatTheyCapture() throws IOException {
    GraphProto then =
        GraphProto.newBuilder()
            .setName("then")
            .addNode(node("twice", "Add", "x", "x", "t"))
            .addOutput(info("t", DType.FLOAT32))
            .build();
    GraphProto otherwise =
        GraphProto.newBuilder()
            .setName("else")
            .addNode(node("square", "Mul", "x", "x", "e"))
            .addOutput(info("e", DType.FLOAT32))
            .build();
    GraphProto.Builder graph =
        GraphProto.newBuilder()
            .setName("choice")
            .addInput(info("x", DType.FLOAT32))
            .addInput(info("c", DType.BOOL))
            .addNode(
                NodeProto.newBuilder()
                    .setName("if")
                    .setOpType("If")
                    .addInput("c")
                    .addOutput("y")
                    .addAttribute(body("then_branch", then))
                    .addAttribute(body("else_branch", otherwise)))
            .addOutput(info("y", DType.FLOAT32));
    Path file = folder.resolve("if.onnx");
    Files.write(file, model(graph).toByteArray());
    Graph read = read(file);
    assertThat(read.nodes().get(0).uses()).containsExactly("c", "x", "x");
    Graph renamed =
        read.edit().replaceUses("x", "x2", n -> false).input(Value.of("x2", DType.FLOAT32)).build();
    assertThat(renamed.nodes().get(0).uses()).containsExactly("c", "x2", "x2");
    try (Program program = new OnnxRuntimeEngine().compile(renamed)) {
      Map<String, Tensor> inputs =
          Map.of(
              "x", Tensor.scalar(0f),
              "x2", Tensor.scalar(3f),
              "c", Tensor.scalar(0f).cast(DType.BOOL));
      assertThat(program.run(inputs).get("y").item()).isEqualTo(9);
    }
  }

  private static AttributeProto body(String name, GraphProto graph) {
    return AttributeProto.newBuilder()
        .setName(name)
        .setType(AttributeProto.AttributeType.GRAPH)
        .setG(graph)
        .build();
  }

  private static NodeProto node(String name, String op, String left, String right, String output) {
    return NodeProto.newBuilder()
        .setName(name)
        .setOpType(op)
        .addInput(left)
        .addInput(right)
        .addOutput(output)
        .build();
  }

  private static ValueInfoProto info(String name, DType dtype) {
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(
            TypeProto.newBuilder()
                .setTensorType(
                    TypeProto.Tensor.newBuilder()
                        .setElemType(dtype.onnxCode())
                        .setShape(TensorShapeProto.getDefaultInstance())))
        .build();
  }

  private static TensorProto.Builder tensor(DType dtype, long size) {
    return TensorProto.newBuilder().setName("w").setDataType(dtype.onnxCode()).addDims(size);
  }

  private static ModelProto constantModel(TensorProto.Builder weight) {
    ValueInfoProto.Builder output =
        ValueInfoProto.newBuilder()
            .setName("w")
            .setType(
                TypeProto.newBuilder()
                    .setTensorType(
                        TypeProto.Tensor.newBuilder().setElemType(weight.getDataType())));
    return model(GraphProto.newBuilder().setName("w").addInitializer(weight).addOutput(output));
  }

  private static ModelProto model(GraphProto.Builder graph) {
    return ModelProto.newBuilder()
        .setIrVersion(10)
        .addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(21))
        .setGraph(graph)
        .build();
  }

  private static String hex(Tensor tensor) {
    byte[] bytes = new byte[tensor.data().remaining()];
    tensor.data().get(bytes);
    return java.util.HexFormat.of().formatHex(bytes);
  }

  private static GraphEditor sum() {
    GraphEditor editor = new GraphEditor("sum");
    editor.input(Value.of("x", DType.FLOAT32, "n", 4));
    editor.initializer("w", Tensor.ofFloats(new long[] {4}, 1, 2, 3, 4));
    editor.output(Value.of("sum", DType.FLOAT32, "n", 4));
    return editor.add(Node.of("sum", "Add", List.of("x", "w"), List.of("sum"), Map.of()));
  }

  private static Graph read(Path file) {
    return new OnnxFormat().read(file).graph();
  }

  private static void assertSame(Graph actual, Graph expected) {
    assertThat(actual.inputs()).isEqualTo(expected.inputs());
    assertThat(actual.outputs()).isEqualTo(expected.outputs());
    assertThat(actual.values()).isEqualTo(expected.values());
    assertThat(actual.opsets()).isEqualTo(expected.opsets());
    assertThat(actual.metadata()).isEqualTo(expected.metadata());
    assertThat(actual.initializers().keySet()).isEqualTo(expected.initializers().keySet());
    expected
        .initializers()
        .forEach((k, t) -> assertThat(actual.initializer(k).contentEquals(t)).as(k).isTrue());
    assertThat(actual.nodes()).hasSameSizeAs(expected.nodes());
    for (int i = 0; i < expected.nodes().size(); i++) {
      assertSame(actual.nodes().get(i), expected.nodes().get(i));
    }
  }

  private static void assertSame(Node actual, Node expected) {
    assertThat(actual.withAttributes(Map.of())).isEqualTo(expected.withAttributes(Map.of()));
    assertThat(actual.attributes().keySet()).isEqualTo(expected.attributes().keySet());
    expected
        .attributes()
        .forEach(
            (k, v) -> {
              if (v instanceof Attribute.TensorValue t) {
                Tensor other = ((Attribute.TensorValue) actual.attributes().get(k)).value();
                assertThat(other.contentEquals(t.value())).isTrue();
              } else {
                assertThat(actual.attributes().get(k)).isEqualTo(v);
              }
            });
  }
}
