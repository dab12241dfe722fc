package io.peft4j.graph.passes;

import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Computes what depends on constants alone: Constant nodes, shape arithmetic on fixed numbers,
 * casts and transposes of frozen weights. Trainable initializers and those that a run may give are
 * no constants. A value keeps its name.
 */
public final class ConstantFolder {
  private ConstantFolder() {}

  public static Graph apply(Graph graph) {
    Set<String> given = graph.inputs().stream().map(Value::name).collect(Collectors.toSet());
    Map<String, Tensor> known = new HashMap<>();
    graph
        .initializers()
        .forEach(
            (key, tensor) -> {
              if (!graph.trainable().contains(key) && !given.contains(key)) {
                known.put(key, tensor);
              }
            });
    List<Node> folded = new ArrayList<>();
    GraphEditor editor = graph.edit();
    for (Node node : graph.nodes()) {
      Tensor result = fold(node, known);
      if (result != null) {
        known.put(node.output(), result);
        editor.initializer(node.output(), result);
        folded.add(node);
      }
    }
    Set<Node> gone = Set.copyOf(folded);
    return editor.removeNodes(gone::contains).prune().build();
  }

  private static @Nullable Tensor fold(Node node, Map<String, Tensor> known) {
    List<@Nullable Tensor> inputs = new ArrayList<>();
    for (String input : node.inputs()) {
      Tensor tensor = known.get(input);
      if (tensor == null) {
        return null;
      }
      inputs.add(tensor);
    }
    return ConstantEvaluator.evaluate(node, inputs);
  }
}
