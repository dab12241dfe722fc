package io.peft4j.compress.export;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Node;
import io.peft4j.graph.Value;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The element types of all values of a graph, by the type rules of ONNX's operators. */
final class ValueTypes {
  private static final Set<String> TRUTHS =
      Set.of(
          "And",
          "Equal",
          "Greater",
          "GreaterOrEqual",
          "IsInf",
          "IsNaN",
          "Less",
          "LessOrEqual",
          "Not",
          "Or",
          "Xor");

  private static final Set<String> NUMBERS =
      Set.of("ArgMax", "ArgMin", "NonMaxSuppression", "NonZero", "Shape", "Size");

  private final Map<String, @Nullable DType> types = new HashMap<>();

  /**
   * @throws UnsupportedModelException if a node has bodies, is quantised, or is none of ONNX's own
   */
  ValueTypes(Graph graph) {
    graph.inputs().forEach(v -> types.put(v.name(), v.dtype()));
    graph.initializers().forEach((name, tensor) -> types.put(name, tensor.dtype()));
    for (Node node : graph.nodes()) {
      for (int i = 0; i < node.outputs().size(); i++) {
        types.put(node.outputs().get(i), type(node, i));
      }
    }
    graph.outputs().stream().filter(v -> v.dtype() != null).forEach(this::declare);
  }

  private void declare(Value output) {
    types.put(output.name(), output.dtype());
  }

  /** The type of a value; null if it is not known. */
  @Nullable DType of(String name) {
    return types.get(name);
  }

  boolean isFloat32(String name) {
    return of(name) == DType.FLOAT32;
  }

  private @Nullable DType type(Node node, int output) {
    boolean bodies = node.attributes().values().stream().anyMatch(a -> !a.graphs().isEmpty());
    if (bodies || !node.domain().isEmpty()) {
      throw new UnsupportedModelException(
          "%s is %s; leave float16 off"
              .formatted(
                  node.describe(), bodies ? "control flow" : "no operator of ONNX's own set"));
    }
    String op = node.op();
    if (op.contains("Quantize") || op.endsWith("Integer") || op.startsWith("QLinear")) {
      throw new UnsupportedModelException(
          node.describe() + " computes in integers already; leave float16 off");
    }
    if (TRUTHS.contains(op) || (op.equals("Dropout") && output == 1)) {
      return DType.BOOL;
    }
    if (NUMBERS.contains(op) || (op.equals("TopK") && output == 1)) {
      return DType.INT64;
    }
    return switch (op) {
      case "Cast", "RandomNormal", "RandomUniform" ->
          coded(node, op.equals("Cast") ? "to" : "dtype");
      case "CastLike", "Where" -> of(node.requiredInput(1));
      case "OneHot" -> of(node.requiredInput(2));
      case "Constant", "ConstantOfShape" -> held(node);
      default -> node.inputs().isEmpty() ? null : of(node.requiredInput(0));
    };
  }

  private static DType coded(Node node, String key) {
    return DType.ofOnnxCode(Math.toIntExact(node.intAttribute(key, DType.FLOAT32.onnxCode())));
  }

  private static DType held(Node node) {
    if (node.attributes().get("value") instanceof Attribute.TensorValue tensor) {
      return tensor.value().dtype();
    }
    boolean integers =
        node.attributes().containsKey("value_int") || node.attributes().containsKey("value_ints");
    return integers ? DType.INT64 : DType.FLOAT32;
  }
}
