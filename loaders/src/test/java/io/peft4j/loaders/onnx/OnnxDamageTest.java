package io.peft4j.loaders.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.onnx.proto.OnnxMl.FunctionProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.SparseTensorProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import com.google.protobuf.ByteString;
import io.peft4j.CheckpointFormatException;
import io.peft4j.PeftException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Files that are cut short, lie or ask for too much; each error names the file and the place. */
class OnnxDamageTest {
  private static final Path ONNX = Path.of("src/test/resources/onnx");

  @TempDir Path folder;

  @Test
  void everyTruncationIsRefused() throws IOException {
    byte[] whole = Files.readAllBytes(ONNX.resolve("sklearn-mlp/model.onnx"));
    for (int length = 0; length < whole.length; length++) {
      Path file = folder.resolve("cut.onnx");
      Files.write(file, Arrays.copyOf(whole, length));
      assertThatThrownBy(() -> new OnnxFormat().read(file))
          .as("the first %d bytes", length)
          .isInstanceOf(CheckpointFormatException.class)
          .hasMessageContaining("cut.onnx");
    }
  }

  @Test
  void bytesThatAreNoOnnxAreRefused() throws IOException {
    Path file = Files.writeString(folder.resolve("text.onnx"), "This is no model. ".repeat(50));
    assertThatThrownBy(() -> new OnnxFormat().read(file))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("text.onnx");
  }

  @Test
  void rawDataOfAnotherLengthIsRefused() {
    refused(
        "tensor 'w' holds 12 bytes, its shape needs 16",
        weight(t -> t.setRawData(ByteString.copyFrom(new byte[12]))));
  }

  @Test
  void tooFewTypedElementsAreRefused() {
    refused(
        "tensor 'w' holds 3 elements, its shape needs 4",
        weight(t -> t.clearRawData().addFloatData(1).addFloatData(2).addFloatData(3)));
  }

  @Test
  void shapesThatAreNoneAreRefused() {
    refused("tensor 'w' has an axis of size -4", weight(t -> t.clearDims().addDims(-4)));
    refused(
        "tensor 'w' has a shape whose product is over 2^63",
        weight(t -> t.clearDims().addDims(1L << 40).addDims(1L << 40)));
  }

  @Test
  void unknownElementTypesAreRefused() {
    refused("data type 77 is unknown", weight(t -> t.setDataType(77)));
    refused(
        "tensor 'x': tensor data type 78 is unknown",
        graph(g -> g.getInputBuilder(0).getTypeBuilder().getTensorTypeBuilder().setElemType(78)));
  }

  @Test
  void initializersOfOneNameAreRefused() {
    refused(
        "the initializer 'w' is there twice", graph(g -> g.addInitializer(g.getInitializer(0))));
  }

  @Test
  void sparseWeightsAreNamed() {
    refused(
        "weight 'rare' is stored sparse",
        graph(
            g ->
                g.addSparseInitializer(
                    SparseTensorProto.newBuilder()
                        .setValues(TensorProto.newBuilder().setName("rare")))));
  }

  @Test
  void valuesThatNothingMakesAreRefused() {
    refused(
        "Add 'sum' uses 'nowhere', which nothing before it makes",
        graph(g -> g.setNode(0, g.getNode(0).toBuilder().setInput(1, "nowhere"))));
    refused(
        "nothing makes the output 'gone'",
        graph(g -> g.setOutput(0, g.getOutput(0).toBuilder().setName("gone"))));
  }

  @Test
  void aGraphWithoutOutputOrWithOneInputTwiceIsRefused() {
    refused("its graph has no output", graph(GraphProto.Builder::clearOutput));
    refused("the input 'x' is there twice", graph(g -> g.addInput(g.getInput(0))));
  }

  @Test
  void valuesThatAreMadeTwiceAreRefused() {
    refused("which is already made before it", graph(g -> g.addNode(g.getNode(0))));
  }

  @ParameterizedTest
  @ValueSource(ints = {8, 22})
  void operatorSetsOutOfRangeAreNamed(int version) {
    refused(
        "opset " + version,
        m -> m.setOpsetImport(0, m.getOpsetImport(0).toBuilder().setVersion(version)));
  }

  @Test
  void aModelWithoutOperatorSetIsRefused() {
    refused("which ONNX operator set", ModelProto.Builder::clearOpsetImport);
  }

  @Test
  void damagedNotesAboutAdaptersAreRefused() {
    refused("notes about adapters", m -> m.addMetadataProps(entry("peft4j.tags", "{\"w\":")));
    refused(
        "name 'v', which is no initializer",
        m -> m.addMetadataProps(entry("peft4j.trainable", "[\"v\"]")));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "/etc/hostname | must lie in the model's own folder",
        "../beside.data | must lie in the model's own folder",
        "sub/../../beside.data | must lie in the model's own folder",
        "'' | must lie in the model's own folder",
        "absent.data | not beside the model",
        "link.data | a link out of the model's folder",
        "short.data | which has 8 bytes",
        "sub | no regular file",
      })
  void externalDataMustBeWholeAndInside(String location, String message) throws IOException {
    Path model = Files.createDirectory(folder.resolve("model"));
    Files.createDirectory(model.resolve("sub"));
    Path outside = Files.write(folder.resolve("beside.data"), new byte[64]);
    Files.createSymbolicLink(model.resolve("link.data"), outside);
    Files.write(model.resolve("short.data"), new byte[8]);
    Path file = write(model.resolve("m.onnx"), external(location, "0", "16"));
    assertThatThrownBy(() -> new OnnxFormat().read(file))
        .isInstanceOf(CheckpointFormatException.class)
        .hasMessageContaining("m.onnx")
        .hasMessageContaining("'w'")
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @CsvSource({
    "60, 16, which has 64 bytes",
    "-4, 16, negative offset",
    "x, 16, no number",
    "0, 12, its shape needs 16",
    "9223372036854775807, 16, which has 64 bytes",
  })
  void externalDataMustLieInItsFile(String offset, String length, String message)
      throws IOException {
    Files.write(folder.resolve("w.data"), new byte[64]);
    Path file = write(folder.resolve("m.onnx"), external("w.data", offset, length));
    assertThatThrownBy(() -> new OnnxFormat().read(file))
        .isInstanceOf(CheckpointFormatException.class)
        .hasMessageContaining(message);
  }

  @Test
  void externalDataAtAnOffsetIsRead() throws IOException {
    byte[] bytes = new byte[64];
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putFloat(36, 2.5f);
    Files.write(folder.resolve("w.data"), bytes);
    Path file = write(folder.resolve("m.onnx"), external("w.data", "32", "16"));
    assertThat(new OnnxFormat().read(file).graph().initializer("w").toFloats())
        .containsExactly(0, 2.5f, 0, 0);
  }

  @Test
  void functionsAreNamed() {
    refused(
        "'twice'",
        m ->
            m.addFunctions(
                FunctionProto.newBuilder()
                    .setName("twice")
                    .setDomain("own")
                    .addNode(NodeProto.newBuilder().setOpType("Add"))));
  }

  private void refused(String message, Consumer<ModelProto.Builder> damage) {
    Path file;
    try {
      file = write(folder.resolve("bad.onnx"), damage);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    assertThatThrownBy(() -> new OnnxFormat().read(file))
        .isInstanceOfAny(CheckpointFormatException.class, UnsupportedModelException.class)
        .hasMessageContaining("bad.onnx")
        .hasMessageContaining(message);
  }

  private static Consumer<ModelProto.Builder> graph(Consumer<GraphProto.Builder> change) {
    return m -> change.accept(m.getGraphBuilder());
  }

  private static Consumer<ModelProto.Builder> weight(Consumer<TensorProto.Builder> change) {
    return m -> change.accept(m.getGraphBuilder().getInitializerBuilder(0));
  }

  private static Consumer<ModelProto.Builder> external(
      String location, String offset, String length) {
    return weight(
        t ->
            t.clearRawData()
                .setDataLocation(TensorProto.DataLocation.EXTERNAL)
                .addExternalData(entry("location", location))
                .addExternalData(entry("offset", offset))
                .addExternalData(entry("length", length)));
  }

  private static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }

  /** A model that adds the float32 [4] weight {@code w} to its input, changed. */
  private static Path write(Path file, Consumer<ModelProto.Builder> change) throws IOException {
    GraphEditor editor = new GraphEditor("sum");
    editor.input(Value.of("x", DType.FLOAT32, 4));
    editor.initializer("w", Tensor.ofFloats(new long[] {4}, 1, 2, 3, 4));
    String sum = editor.node("sum", "Add", List.of("x", "w"));
    editor.output(Value.of(sum, DType.FLOAT32, 4));
    OnnxWriter.write(editor.build(), file);
    ModelProto.Builder model = ModelProto.parseFrom(Files.readAllBytes(file)).toBuilder();
    change.accept(model);
    return Files.write(file, model.build().toByteArray());
  }
}
