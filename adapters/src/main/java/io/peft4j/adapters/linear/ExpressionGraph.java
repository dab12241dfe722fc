package io.peft4j.adapters.linear;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;

/** Where expressions put their nodes: one module's scope, for one adapter. */
final class ExpressionGraph {
  /** Operators that are none of ONNX's own, but that ONNX Runtime has. */
  private static final String CONTRIBUTED = "com.microsoft";

  private static final String LITERAL = "literal.";

  private final GraphEditor editor;
  private final String path;
  private final String adapter;

  ExpressionGraph(GraphEditor editor, String path, String adapter) {
    this.editor = editor;
    this.path = path;
    this.adapter = adapter;
  }

  GraphEditor editor() {
    return editor;
  }

  Expression of(String value) {
    return new Expression(this, value);
  }

  Expression node(String op, List<String> inputs, Map<String, Attribute> attributes) {
    return of(editor.node(name(op), op, inputs, attributes));
  }

  Expression contributed(String op, List<String> inputs) {
    String output = editor.freshName(name(op) + "_output_0");
    editor.opset(CONTRIBUTED, 1);
    editor.add(
        new Node(
            numbered(op, output),
            CONTRIBUTED,
            op,
            inputs,
            List.of(output),
            Map.of(),
            "",
            Map.of()));
    return of(output);
  }

  Expression.Largest largest(Expression source, int count) {
    String values = editor.freshName(name("TopK") + "_output_0");
    String indices = editor.freshName(name("TopK") + "_output_1");
    String k = literal("topk", Tensor.vector(count)).value();
    editor.add(
        Node.of(
            numbered("TopK", values),
            "TopK",
            List.of(source.value(), k),
            List.of(values, indices),
            Map.of("axis", Attribute.of(-1L))));
    return new Expression.Largest(of(values), of(indices));
  }

  /** A node's name that is as unique as its output's, as ONNX Runtime wants. */
  private String numbered(String op, String output) {
    return name(op) + output.substring((name(op) + "_output_0").length());
  }

  Expression detached(Expression source) {
    return marked("Identity", source, Node.DETACHED);
  }

  Expression trainingNoise(Expression like) {
    return marked("RandomNormalLike", like, Node.TRAINING_ONLY);
  }

  private Expression marked(String op, Expression source, String mark) {
    String output = editor.freshName(name(op) + "_output_0");
    editor.add(
        new Node(
            numbered(op, output),
            "",
            op,
            List.of(source.value()),
            List.of(output),
            Map.of(),
            "",
            Map.of(mark, "true")));
    return of(output);
  }

  /** A constant that an expression itself needs; how many there are depends on its form. */
  Expression literal(String part, Tensor tensor) {
    return constant(LITERAL + part, tensor);
  }

  /** Whether an initializer of a module is a literal. */
  static boolean isLiteral(String path, String initializer) {
    return initializer.startsWith(path + "." + LITERAL);
  }

  Expression constant(String part, Tensor tensor) {
    return of(editor.constant(initializer(part), tensor));
  }

  /** The name of an initializer of this module: path, part, adapter. */
  String initializer(String part) {
    return path + "." + part + "." + adapter;
  }

  private String name(String op) {
    return "/" + path.replaceAll("\\.(?!\\d)", "/") + "/" + adapter + "/" + op;
  }
}
