package io.peft4j.graph;

import java.util.Map;
import java.util.stream.Collectors;

/** Prints a graph as text, the same graph always as the same text. */
final class GraphText {
  private GraphText() {}

  static String of(Graph graph) {
    StringBuilder text = new StringBuilder("graph " + graph.name() + " {\n");
    graph.inputs().forEach(v -> text.append("  input ").append(v).append('\n'));
    graph.initializers().forEach((key, tensor) -> text.append(initializer(graph, key, tensor)));
    graph.nodes().forEach(node -> text.append("  ").append(node(node)).append('\n'));
    graph.outputs().forEach(v -> text.append("  output ").append(v).append('\n'));
    return text.append("}\n").toString();
  }

  private static String initializer(Graph graph, String key, Tensor tensor) {
    String tag = graph.tags().getOrDefault(key, "");
    return "  weight %s: %s%s%s%n"
        .formatted(
            key,
            tensor,
            graph.trainable().contains(key) ? " trainable" : "",
            tag.isEmpty() ? "" : " @" + tag)
        .replace(System.lineSeparator(), "\n");
  }

  private static String node(Node node) {
    String attributes =
        node.attributes().entrySet().stream()
            .sorted(Map.Entry.comparingByKey())
            .map(GraphText::attribute)
            .collect(Collectors.joining(", "));
    return String.join(", ", node.outputs())
        + " = "
        + (node.domain().isEmpty() ? "" : node.domain() + "::")
        + node.op()
        + "("
        + String.join(", ", node.inputs())
        + ")"
        + (attributes.isEmpty() ? "" : " {" + attributes + "}")
        + (node.tag().isEmpty() ? "" : " @" + node.tag())
        + (node.name().isEmpty() ? "" : "  # " + node.name());
  }

  private static String attribute(Map.Entry<String, Attribute> entry) {
    Attribute value = entry.getValue();
    String text;
    if (value instanceof Attribute.IntValue v) {
      text = Long.toString(v.value());
    } else if (value instanceof Attribute.FloatValue v) {
      text = Float.toString(v.value());
    } else if (value instanceof Attribute.StringValue v) {
      text = "'" + v.value() + "'";
    } else if (value instanceof Attribute.Ints v) {
      text = v.values().toString();
    } else if (value instanceof Attribute.TensorValue v) {
      text = v.value().size() <= 8 ? tensor(v.value()) : v.value().toString();
    } else if (value instanceof Attribute.GraphValue v) {
      text = "graph of " + v.value().nodes().size() + " nodes";
    } else {
      text = value.toString();
    }
    return entry.getKey() + "=" + text;
  }

  private static String tensor(Tensor tensor) {
    boolean readable = tensor.dtype().isFloat() || tensor.dtype().isInteger();
    return tensor + (readable ? " " + java.util.Arrays.toString(tensor.toDoubles()) : "");
  }
}
