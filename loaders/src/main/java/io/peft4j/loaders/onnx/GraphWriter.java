package io.peft4j.loaders.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.AttributeProto.AttributeType;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import com.google.protobuf.ByteString;
import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;

/** Turns a graph into that of an ONNX file, one to one. */
final class GraphWriter {
  private final BiFunction<String, Tensor, TensorProto> weights;

  /**
   * @param weights how initializers are written
   */
  GraphWriter(BiFunction<String, Tensor, TensorProto> weights) {
    this.weights = weights;
  }

  GraphProto write(Graph graph) {
    GraphProto.Builder proto =
        GraphProto.newBuilder().setName(graph.name().isEmpty() ? "graph" : graph.name());
    graph.inputs().forEach(v -> proto.addInput(value(v)));
    graph.outputs().forEach(v -> proto.addOutput(value(v)));
    graph.values().values().forEach(v -> proto.addValueInfo(value(v)));
    graph
        .initializers()
        .forEach((name, tensor) -> proto.addInitializer(weights.apply(name, tensor)));
    graph.nodes().forEach(n -> proto.addNode(node(n)));
    return proto.build();
  }

  private NodeProto node(Node node) {
    if (node.domain().equals(Graph.OWN_DOMAIN)) {
      throw new UnsupportedModelException(
          node.describe() + " is an operator of the engine, which no ONNX file can hold");
    }
    NodeProto.Builder proto =
        NodeProto.newBuilder()
            .setName(node.name())
            .setOpType(node.op())
            .setDomain(node.domain())
            .addAllInput(node.inputs())
            .addAllOutput(node.outputs());
    node.attributes().forEach((key, value) -> proto.addAttribute(attribute(key, value)));
    if (!node.tag().isEmpty()) {
      proto.addMetadataProps(entry(GraphReader.ADAPTER_KEY, node.tag()));
    }
    node.metadata().forEach((key, value) -> proto.addMetadataProps(entry(key, value)));
    return proto.build();
  }

  static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }

  private AttributeProto attribute(String name, Attribute value) {
    AttributeProto.Builder proto = AttributeProto.newBuilder().setName(name);
    if (value instanceof Attribute.IntValue v) {
      proto.setType(AttributeType.INT).setI(v.value());
    } else if (value instanceof Attribute.FloatValue v) {
      proto.setType(AttributeType.FLOAT).setF(v.value());
    } else if (value instanceof Attribute.StringValue v) {
      proto.setType(AttributeType.STRING).setS(ByteString.copyFromUtf8(v.value()));
    } else if (value instanceof Attribute.TensorValue v) {
      proto.setType(AttributeType.TENSOR).setT(TensorProtos.write("", v.value()));
    } else if (value instanceof Attribute.GraphValue v) {
      proto.setType(AttributeType.GRAPH).setG(body(v.value()));
    } else if (value instanceof Attribute.Ints v) {
      proto.setType(AttributeType.INTS).addAllInts(v.values());
    } else if (value instanceof Attribute.Floats v) {
      proto.setType(AttributeType.FLOATS).addAllFloats(v.values());
    } else if (value instanceof Attribute.Strings v) {
      proto.setType(AttributeType.STRINGS);
      v.values().forEach(s -> proto.addStrings(ByteString.copyFromUtf8(s)));
    } else if (value instanceof Attribute.Tensors v) {
      proto.setType(AttributeType.TENSORS);
      v.values().forEach(t -> proto.addTensors(TensorProtos.write("", t)));
    } else if (value instanceof Attribute.Graphs v) {
      proto.setType(AttributeType.GRAPHS);
      v.values().forEach(g -> proto.addGraphs(body(g)));
    }
    return proto.build();
  }

  private static GraphProto body(Graph graph) {
    return new GraphWriter(TensorProtos::write).write(graph);
  }

  private static ValueInfoProto value(Value value) {
    TypeProto.Tensor.Builder type = TypeProto.Tensor.newBuilder();
    DType dtype = value.dtype();
    if (dtype != null) {
      type.setElemType(dtype.onnxCode());
    }
    List<Dim> dims = value.shape();
    if (dims != null) {
      TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
      for (Dim dim : dims) {
        TensorShapeProto.Dimension.Builder axis = shape.addDimBuilder();
        if (dim.isFixed()) {
          axis.setDimValue(dim.size());
        } else if (!dim.symbol().isEmpty()) {
          axis.setDimParam(dim.symbol());
        }
      }
      type.setShape(shape);
    }
    return ValueInfoProto.newBuilder()
        .setName(value.name())
        .setType(TypeProto.newBuilder().setTensorType(type))
        .build();
  }

  /** Entries as the file has them. */
  static List<StringStringEntryProto> entries(Map<String, String> map) {
    return map.entrySet().stream().map(e -> entry(e.getKey(), e.getValue())).toList();
  }
}
