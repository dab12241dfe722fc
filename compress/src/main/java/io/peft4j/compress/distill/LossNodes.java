package io.peft4j.compress.distill;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;

/** The arithmetic that losses are made of, as nodes under one scope. */
final class LossNodes {
  private static final Map<String, Attribute> LAST = Map.of("axis", Attribute.of(-1L));
  private static final Map<String, Attribute> DROP = Map.of("keepdims", Attribute.of(0L));

  private final GraphEditor editor;
  private final String scope;

  LossNodes(GraphEditor editor, String scope) {
    this.editor = editor;
    this.scope = scope;
  }

  String node(String op, List<String> inputs) {
    return node(op, inputs, Map.of());
  }

  String node(String op, List<String> inputs, Map<String, Attribute> attributes) {
    return editor.node(scope + "/" + op, op, inputs, attributes);
  }

  String times(String value, double factor) {
    return node("Mul", List.of(value, number(factor)));
  }

  String over(String value, double divisor) {
    return divisor == 1 ? value : node("Div", List.of(value, number(divisor)));
  }

  private String number(double value) {
    return editor.constant(scope + "/number", Tensor.scalar((float) value));
  }

  String product(String a, String b) {
    return node("Mul", List.of(a, b));
  }

  String difference(String a, String b) {
    return node("Sub", List.of(a, b));
  }

  /** The mean of all elements. */
  String mean(String values) {
    return node("ReduceMean", List.of(values), DROP);
  }

  /** The mean over the last axis, which goes. */
  String meanOfLast(String values) {
    return node("ReduceMean", List.of(values, axis(-1)), DROP);
  }

  /** The sum over the last axis, which goes. */
  String sumOfLast(String values) {
    return node("ReduceSum", List.of(values, axis(-1)), DROP);
  }

  private String axis(long axis) {
    return editor.constant(scope + "/axis", Tensor.vector(axis));
  }

  /** The mean of the values where a mask of the same shape is 1. */
  String masked(String values, String mask) {
    String sum = node("ReduceSum", List.of(product(values, mask)), DROP);
    return node("Div", List.of(sum, node("ReduceSum", List.of(mask), DROP)));
  }

  String asFloat(String value) {
    return node(
        "Cast", List.of(value), Map.of("to", Attribute.of((long) DType.FLOAT32.onnxCode())));
  }

  /** KL(softmax(p) ‖ softmax(q)) over the last axis, which goes. */
  String divergence(String p, String q) {
    String gap =
        difference(node("LogSoftmax", List.of(p), LAST), node("LogSoftmax", List.of(q), LAST));
    return sumOfLast(product(node("Softmax", List.of(p), LAST), gap));
  }
}
