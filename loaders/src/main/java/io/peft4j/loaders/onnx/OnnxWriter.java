package io.peft4j.loaders.onnx;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import io.peft4j.format.AtomicWrite;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.Map;

/** Writes an ONNX file, whole or not at all. */
final class OnnxWriter {
  /** The first version of the file format that came with each operator set. */
  private static final Map<Integer, Long> IR_VERSIONS =
      Map.of(17, 8L, 18, 8L, 19, 9L, 20, 9L, 21, 10L);

  /** From so many bytes of weights on they stand in a file of their own: protobuf ends at 2 GiB. */
  static final long INLINE_LIMIT = 1_800_000_000L;

  /** Tensors smaller than this stay in the file even where there is external data. */
  private static final long SMALL = 1024;

  /** As the format's documentation advises, so that readers can map each tensor. */
  private static final long PAGE = 4096;

  private OnnxWriter() {}

  static void write(Graph graph, Path target) {
    write(graph, target, INLINE_LIMIT);
  }

  /**
   * @param opset the operator set of the file
   */
  static void write(Graph graph, int opset, Path target) {
    write(OpsetDowngrade.downgrade(graph, opset), target, INLINE_LIMIT, opset);
  }

  static void write(Graph graph, Path target, long inlineLimit) {
    write(graph, target, inlineLimit, Graph.OPSET);
  }

  /**
   * @param graph in the operators of the set
   */
  private static void write(Graph graph, Path target, long inlineLimit, int opset) {
    long bytes = graph.initializers().values().stream().mapToLong(Tensor::byteSize).sum();
    if (bytes <= inlineLimit) {
      GraphProto proto = new GraphWriter(TensorProtos::write).write(graph);
      AtomicWrite.file(target, temporary -> writeModel(model(graph, proto, opset), temporary));
      return;
    }
    String dataName = target.getFileName() + ".data";
    Map<String, Tensor> apart = new LinkedHashMap<>();
    Offsets offsets = new Offsets(dataName, apart);
    GraphProto proto = new GraphWriter(offsets::place).write(graph);
    AtomicWrite.file(
        target,
        temporary -> {
          writeModel(model(graph, proto, opset), temporary);
          // Renamed before the model is: a reader never sees a model without its data.
          AtomicWrite.file(target.resolveSibling(dataName), data -> writeData(apart, data));
        });
  }

  /** Gives each large tensor its place in the file of external data. */
  private static final class Offsets {
    private final String file;
    private final Map<String, Tensor> apart;
    private long next;

    Offsets(String file, Map<String, Tensor> apart) {
      this.file = file;
      this.apart = apart;
    }

    TensorProto place(String name, Tensor tensor) {
      if (tensor.byteSize() < SMALL || tensor.dtype() == DType.STRING) {
        return TensorProtos.write(name, tensor);
      }
      long offset = next;
      apart.put(name, tensor);
      next = aligned(offset + tensor.byteSize());
      return TensorProtos.header(name, tensor)
          .setDataLocation(TensorProto.DataLocation.EXTERNAL)
          .addExternalData(GraphWriter.entry("location", file))
          .addExternalData(GraphWriter.entry("offset", Long.toString(offset)))
          .addExternalData(GraphWriter.entry("length", Long.toString(tensor.byteSize())))
          .build();
    }
  }

  private static long aligned(long offset) {
    return (offset + PAGE - 1) / PAGE * PAGE;
  }

  private static ModelProto model(Graph graph, GraphProto proto, int opset) {
    Map<String, String> metadata = new LinkedHashMap<>(graph.metadata());
    if (!graph.tags().isEmpty()) {
      metadata.put(OnnxReader.TAGS_KEY, OnnxReader.JSON.valueToTree(graph.tags()).toString());
    }
    if (!graph.trainable().isEmpty()) {
      metadata.put(
          OnnxReader.TRAINABLE_KEY, OnnxReader.JSON.valueToTree(graph.trainable()).toString());
    }
    ModelProto.Builder model =
        ModelProto.newBuilder()
            .setIrVersion(IR_VERSIONS.getOrDefault(opset, 0L))
            .setProducerName("peft4j")
            .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(opset))
            .setGraph(proto)
            .addAllMetadataProps(GraphWriter.entries(metadata));
    graph
        .opsets()
        .forEach(
            (domain, version) ->
                model.addOpsetImport(
                    OperatorSetIdProto.newBuilder().setDomain(domain).setVersion(version)));
    return model.build();
  }

  private static void writeModel(ModelProto model, Path file) throws IOException {
    try (OutputStream output = new BufferedOutputStream(Files.newOutputStream(file), 1 << 20)) {
      model.writeTo(output);
    }
  }

  private static void writeData(Map<String, Tensor> tensors, Path file) throws IOException {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      for (Tensor tensor : tensors.values()) {
        channel.position(aligned(channel.position()));
        ByteBuffer data = tensor.data();
        while (data.hasRemaining()) {
          channel.write(data);
        }
      }
    }
  }
}
