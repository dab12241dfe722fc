package io.peft4j.compress.export;

import io.peft4j.PeftException;
import io.peft4j.adapter.NearestNames;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Node;
import io.peft4j.graph.Value;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;

/** Other names for the inputs and outputs of a graph. */
final class Names {
  private Names() {}

  /**
   * @param names new ones by old ones
   * @throws PeftException if there is no such input or output, or a new name is taken
   */
  static Graph rename(Graph graph, Map<String, String> names) {
    if (names.isEmpty()) {
      return graph;
    }
    List<String> known = new ArrayList<>();
    graph.inputs().forEach(v -> known.add(v.name()));
    graph.outputs().forEach(v -> known.add(v.name()));
    for (String old : names.keySet()) {
      if (!known.contains(old)) {
        throw new PeftException(
            "there is no input or output '%s' to rename; the nearest are %s"
                .formatted(old, NearestNames.of(old, known)));
      }
    }
    Set<String> taken = new HashSet<>(known);
    graph.nodes().forEach(n -> taken.addAll(n.outputs()));
    taken.addAll(graph.initializers().keySet());
    for (String name : names.values()) {
      if (!taken.add(name)) {
        throw new PeftException("the name '%s' is taken; choose another".formatted(name));
      }
    }
    UnaryOperator<String> rename = name -> names.getOrDefault(name, name);
    return new Graph(
        graph.name(),
        graph.inputs().stream().map(v -> named(v, rename)).toList(),
        graph.outputs().stream().map(v -> named(v, rename)).toList(),
        graph.nodes().stream().map(n -> named(n, rename)).toList(),
        graph.initializers(),
        graph.tags(),
        graph.trainable(),
        values(graph, rename),
        graph.opsets(),
        graph.metadata(),
        graph.captures());
  }

  private static Value named(Value value, UnaryOperator<String> rename) {
    return value.withName(rename.apply(value.name()));
  }

  private static Node named(Node node, UnaryOperator<String> rename) {
    return node.renamingUses(rename).withOutputs(node.outputs().stream().map(rename).toList());
  }

  private static Map<String, Value> values(Graph graph, UnaryOperator<String> rename) {
    Map<String, Value> values = new LinkedHashMap<>();
    graph.values().values().forEach(v -> values.put(rename.apply(v.name()), named(v, rename)));
    return values;
  }
}
