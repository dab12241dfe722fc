package io.peft4j.graph;

import com.google.common.collect.ArrayListMultimap;
import com.google.common.collect.ListMultimap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Looking up who makes and who uses a value of a graph. */
public final class GraphView {
  private final Graph graph;
  private final Map<String, Node> producers = new HashMap<>();
  private final ListMultimap<String, Node> consumers = ArrayListMultimap.create();
  private final Set<String> outputs;

  public GraphView(Graph graph) {
    this.graph = graph;
    for (Node node : graph.nodes()) {
      node.outputs().forEach(o -> producers.put(o, node));
      node.inputs().stream().distinct().forEach(i -> consumers.put(i, node));
    }
    outputs = graph.outputs().stream().map(Value::name).collect(Collectors.toSet());
  }

  public Graph graph() {
    return graph;
  }

  /** The node that makes a value; null for inputs and initializers. */
  public @Nullable Node producer(@Nullable String value) {
    return value == null ? null : producers.get(value);
  }

  /** The node that makes a value, if it is this operator of ONNX's own set. */
  public @Nullable Node producer(@Nullable String value, String operator) {
    Node node = producer(value);
    return node != null && node.is(operator) ? node : null;
  }

  /** The nodes that use a value, each once, in the graph's order. */
  public List<Node> consumers(String value) {
    return consumers.get(value);
  }

  /**
   * The one node that uses a value; null if there are several or none, or if it is an output of the
   * graph.
   */
  public @Nullable Node onlyConsumer(String value) {
    List<Node> users = consumers.get(value);
    return users.size() == 1 && !outputs.contains(value) ? users.get(0) : null;
  }

  public boolean isOutput(String value) {
    return outputs.contains(value);
  }

  /**
   * The fixed content of a value: an initializer that does not train, or what a Constant node
   * holds; else null.
   */
  public @Nullable Tensor constant(@Nullable String value) {
    if (value == null) {
      return null;
    }
    Tensor tensor = graph.initializers().get(value);
    if (tensor != null) {
      boolean fixed =
          !graph.trainable().contains(value)
              && graph.inputs().stream().noneMatch(v -> v.name().equals(value));
      return fixed ? tensor : null;
    }
    Node node = producer(value, "Constant");
    return node != null && node.attributes().get("value") instanceof Attribute.TensorValue held
        ? held.value()
        : null;
  }

  /** The number that a constant of one element holds; NaN if the value is no such constant. */
  public double scalar(@Nullable String value) {
    Tensor tensor = constant(value);
    return tensor != null && tensor.size() == 1 ? tensor.item() : Double.NaN;
  }
}
