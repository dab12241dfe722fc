package io.peft4j.loaders.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import com.google.protobuf.ByteString;
import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Turns the graph of an ONNX file into ours, one to one. */
final class GraphReader {
  /** Under this key of a node's metadata the adapter that added it is noted. */
  static final String ADAPTER_KEY = "peft4j.adapter";

  private final Path file;
  private final TensorProtos tensors;
  private final boolean initializersAreInputs;

  /**
   * @param initializersAreInputs whether the file lists each initializer as an input too, as those
   *     before IR version 4 do
   */
  GraphReader(Path file, boolean initializersAreInputs) {
    this.file = file;
    this.tensors = new TensorProtos(file);
    this.initializersAreInputs = initializersAreInputs;
  }

  Graph read(
      GraphProto proto,
      Map<String, String> tags,
      Set<String> trainable,
      Map<String, Integer> opsets,
      Map<String, String> metadata) {
    return read(proto, tags, trainable, opsets, metadata, false);
  }

  private Graph read(
      GraphProto proto,
      Map<String, String> tags,
      Set<String> trainable,
      Map<String, Integer> opsets,
      Map<String, String> metadata,
      boolean body) {
    if (proto.getSparseInitializerCount() > 0) {
      throw new UnsupportedModelException(
          "%s: the weight '%s' is stored sparse; export the model with dense weights"
              .formatted(file, proto.getSparseInitializer(0).getValues().getName()));
    }
    Map<String, Tensor> initializers = initializers(proto);
    List<Value> inputs = new ArrayList<>();
    for (ValueInfoProto input : proto.getInputList()) {
      if (!initializersAreInputs || !initializers.containsKey(input.getName())) {
        inputs.add(required(input));
      }
    }
    List<Value> outputs = proto.getOutputList().stream().map(this::required).toList();
    if (outputs.isEmpty() && !body) {
      throw new CheckpointFormatException(
          file + ": its graph has no output; the file is damaged, get it again");
    }
    List<Node> nodes = proto.getNodeList().stream().map(this::node).toList();
    try {
      return new Graph(
          proto.getName(),
          inputs,
          outputs,
          nodes,
          initializers,
          tags,
          trainable,
          values(proto),
          opsets,
          metadata,
          body ? captures(inputs, outputs, nodes, initializers.keySet()) : Set.of());
    } catch (CheckpointFormatException e) {
      throw new CheckpointFormatException(file + ": " + e.getMessage(), e);
    }
  }

  private Map<String, Tensor> initializers(GraphProto proto) {
    Map<String, Tensor> initializers = new LinkedHashMap<>();
    for (TensorProto tensor : proto.getInitializerList()) {
      if (tensor.getName().isEmpty()) {
        throw new CheckpointFormatException(file + ": an initializer has no name");
      }
      if (initializers.put(tensor.getName(), tensors.read(tensor, tensor.getName())) != null) {
        throw new CheckpointFormatException(
            "%s: the initializer '%s' is there twice".formatted(file, tensor.getName()));
      }
    }
    return initializers;
  }

  /** What a body uses without making it. */
  private static Set<String> captures(
      List<Value> inputs, List<Value> outputs, List<Node> nodes, Set<String> initializers) {
    Set<String> own = new HashSet<>(initializers);
    inputs.forEach(v -> own.add(v.name()));
    Set<String> captures = new LinkedHashSet<>();
    for (Node node : nodes) {
      node.uses().stream().filter(v -> !v.isEmpty() && !own.contains(v)).forEach(captures::add);
      own.addAll(node.outputs());
    }
    outputs.stream().map(Value::name).filter(v -> !own.contains(v)).forEach(captures::add);
    return captures;
  }

  private Node node(NodeProto proto) {
    Map<String, Attribute> attributes = new LinkedHashMap<>();
    for (AttributeProto attribute : proto.getAttributeList()) {
      attributes.put(attribute.getName(), attribute(attribute, proto));
    }
    Map<String, String> metadata = entries(proto.getMetadataPropsList());
    String tag = metadata.remove(ADAPTER_KEY);
    return new Node(
        proto.getName(),
        proto.getDomain(),
        proto.getOpType(),
        proto.getInputList(),
        proto.getOutputList(),
        attributes,
        tag == null ? "" : tag,
        metadata);
  }

  static Map<String, String> entries(List<StringStringEntryProto> list) {
    Map<String, String> entries = new LinkedHashMap<>();
    list.forEach(e -> entries.put(e.getKey(), e.getValue()));
    return entries;
  }

  private Attribute attribute(AttributeProto proto, NodeProto node) {
    String where = node.getOpType() + " '" + node.getName() + "', " + proto.getName();
    return switch (proto.getType()) {
      case FLOAT -> Attribute.of(proto.getF());
      case INT -> Attribute.of(proto.getI());
      case STRING -> Attribute.of(text(proto.getS(), where));
      case TENSOR -> Attribute.of(tensors.read(proto.getT(), where));
      case GRAPH -> new Attribute.GraphValue(body(proto.getG()));
      case FLOATS -> new Attribute.Floats(proto.getFloatsList());
      case INTS -> new Attribute.Ints(proto.getIntsList());
      case STRINGS ->
          new Attribute.Strings(proto.getStringsList().stream().map(s -> text(s, where)).toList());
      case TENSORS ->
          new Attribute.Tensors(
              proto.getTensorsList().stream().map(t -> tensors.read(t, where)).toList());
      case GRAPHS -> new Attribute.Graphs(proto.getGraphsList().stream().map(this::body).toList());
      default ->
          throw new UnsupportedModelException(
              "%s: %s: attributes of kind %s are not supported"
                  .formatted(file, where, proto.getType()));
    };
  }

  private String text(ByteString bytes, String where) {
    if (!bytes.isValidUtf8()) {
      throw new UnsupportedModelException(
          "%s: %s: the attribute holds bytes that are no UTF-8 text".formatted(file, where));
    }
    return bytes.toStringUtf8();
  }

  private Graph body(GraphProto proto) {
    return read(proto, Map.of(), Set.of(), Map.of(), Map.of(), true);
  }

  private Map<String, Value> values(GraphProto proto) {
    Map<String, Value> values = new LinkedHashMap<>();
    for (ValueInfoProto info : proto.getValueInfoList()) {
      if (info.getType().hasTensorType()) {
        values.put(info.getName(), value(info));
      }
    }
    return values;
  }

  private Value required(ValueInfoProto info) {
    if (info.hasType() && !info.getType().hasTensorType()) {
      throw new UnsupportedModelException(
          "%s: '%s' is a %s; only models that take and give tensors are supported"
              .formatted(
                  file,
                  info.getName(),
                  info.getType()
                      .getValueCase()
                      .name()
                      .replace("_TYPE", "")
                      .toLowerCase(java.util.Locale.ROOT)));
    }
    return value(info);
  }

  private Value value(ValueInfoProto info) {
    TypeProto.Tensor type = info.getType().getTensorType();
    return new Value(
        info.getName(),
        type.getElemType() == 0 ? null : tensors.dtype(type.getElemType(), info.getName()),
        type.hasShape() ? dims(type.getShape()) : null);
  }

  private static @Nullable List<Dim> dims(TensorShapeProto shape) {
    List<Dim> dims = new ArrayList<>();
    for (TensorShapeProto.Dimension dim : shape.getDimList()) {
      boolean fixed = dim.hasDimValue() && dim.getDimValue() >= 0; // some exporters write -1
      dims.add(fixed ? Dim.of(dim.getDimValue()) : Dim.of(dim.getDimParam()));
    }
    return dims;
  }
}
