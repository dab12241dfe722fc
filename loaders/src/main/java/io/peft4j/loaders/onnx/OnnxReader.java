package io.peft4j.loaders.onnx;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.UnsafeByteOperations;
import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Graph;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Reads an ONNX file. Its weights are mapped, not copied. */
final class OnnxReader {
  /** JSON object: initializer to the adapter that added it. */
  static final String TAGS_KEY = "peft4j.tags";

  /** JSON list: the initializers that train. */
  static final String TRAINABLE_KEY = "peft4j.trainable";

  /** What wrote the file that the model was first read from. */
  static final String PRODUCER_KEY = "peft4j.source_producer";

  static final ObjectMapper JSON = new ObjectMapper();

  /** In this version initializers ceased to be listed as inputs. */
  private static final long FIRST_IR_WITHOUT_INPUTS = 4;

  private OnnxReader() {}

  static Graph read(Path file) {
    ModelProto model = parse(file);
    if (!model.hasGraph() || model.getIrVersion() <= 0) {
      throw new CheckpointFormatException(
          file + ": it is no ONNX file, or only the beginning of one; get it again");
    }
    if (model.getFunctionsCount() > 0) {
      throw new UnsupportedModelException(
          "%s: it defines %d functions of its own ('%s', …); export the model with functions inlined"
              .formatted(file, model.getFunctionsCount(), model.getFunctions(0).getName()));
    }
    Map<String, Integer> opsets = opsets(file, model);
    Integer version = opsets.remove("");
    if (version == null) {
      throw new CheckpointFormatException(
          file + ": it does not say which ONNX operator set it uses; get it again");
    }
    Map<String, String> metadata = GraphReader.entries(model.getMetadataPropsList());
    if (!model.getProducerName().isEmpty()) {
      metadata.putIfAbsent(
          PRODUCER_KEY, (model.getProducerName() + " " + model.getProducerVersion()).strip());
    }
    Map<String, String> tags =
        json(file, metadata.remove(TAGS_KEY), new TypeReference<Map<String, String>>() {}, "{}");
    List<String> trainable =
        json(file, metadata.remove(TRAINABLE_KEY), new TypeReference<List<String>>() {}, "[]");
    Graph graph =
        new GraphReader(file, model.getIrVersion() < FIRST_IR_WITHOUT_INPUTS)
            .read(model.getGraph(), tags, Set.copyOf(trainable), opsets, metadata);
    requireThere(file, graph);
    try {
      return OpsetUpgrade.upgrade(graph, version);
    } catch (UnsupportedModelException e) {
      throw new UnsupportedModelException(file + ": " + e.getMessage(), e);
    }
  }

  private static ModelProto parse(Path file) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      if (channel.size() > Integer.MAX_VALUE) {
        throw new CheckpointFormatException(
            file + ": it is over 2 GiB, which no ONNX file can be; get it again");
      }
      ByteBuffer bytes = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
      CodedInputStream input = UnsafeByteOperations.unsafeWrap(bytes).newCodedInput();
      input.enableAliasing(true); // raw tensor data stay where they are mapped
      return ModelProto.parseFrom(input);
    } catch (InvalidProtocolBufferException e) {
      throw new CheckpointFormatException(
          file + ": it is no ONNX file, or is cut short or damaged; get it again", e);
    } catch (NoSuchFileException e) {
      throw new CheckpointFormatException(file + ": there is no such file; check the path", e);
    } catch (IOException e) {
      throw new CheckpointFormatException(
          "%s: it cannot be read (%s)".formatted(file, e.getMessage()), e);
    }
  }

  private static Map<String, Integer> opsets(Path file, ModelProto model) {
    Map<String, Integer> opsets = new LinkedHashMap<>();
    for (OperatorSetIdProto opset : model.getOpsetImportList()) {
      String domain = opset.getDomain().equals("ai.onnx") ? "" : opset.getDomain();
      long version = opset.getVersion();
      if (version < 1 || version > Integer.MAX_VALUE) {
        throw new CheckpointFormatException(
            "%s: it asks for version %d of the operator set '%s'; get it again"
                .formatted(file, version, domain));
      }
      opsets.put(domain, (int) version);
    }
    return opsets;
  }

  private static <T> T json(
      Path file,
      @org.jspecify.annotations.Nullable String text,
      TypeReference<T> type,
      String absent) {
    try {
      return JSON.readValue(text == null ? absent : text, type);
    } catch (JsonProcessingException e) {
      throw new CheckpointFormatException(
          file + ": its notes about adapters (peft4j.*) are damaged; get it again", e);
    }
  }

  private static void requireThere(Path file, Graph graph) {
    Set<String> noted = new HashSet<>(graph.trainable());
    noted.addAll(graph.tags().keySet());
    noted.removeAll(graph.initializers().keySet());
    if (!noted.isEmpty()) {
      throw new CheckpointFormatException(
          "%s: its notes about adapters name '%s', which is no initializer; get it again"
              .formatted(file, noted.iterator().next()));
    }
  }
}
