package io.peft4j.graph.passes;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;

/**
 * Prepares a graph for compiling: folds constants and puts one operator in place of each form that
 * exporters take apart. Names of inputs, outputs and trainable initializers stay.
 */
public final class Fusion {
  private Fusion() {}

  /**
   * All passes in their order. Quantised weights come first, so that the layers around them are
   * seen, and linear layers before folding, so that a transposed weight is not copied.
   */
  public static Graph apply(Graph graph) {
    Graph result = rewrite(DequantizedWeights.fold(graph), LinearPattern::match);
    result = ConstantFolder.apply(result);
    result = rewrite(result, LayerNormPattern::match);
    result = rewrite(result, GeluPattern::match);
    result = rewrite(result, AttentionPattern::match);
    result = rewrite(result, Fusion::silu);
    result = rewrite(result, Fusion::scaledAdd);
    result = rewrite(result, Fusion::mulAdd);
    return result;
  }

  /** Replaces every node for which the pattern gives a replacement that makes the same output. */
  private static Graph rewrite(Graph graph, BiFunction<GraphView, Node, @Nullable Node> pattern) {
    GraphView view = new GraphView(graph);
    GraphEditor editor = graph.edit();
    boolean changed = false;
    for (Node node : graph.nodes()) {
      Node replacement = pattern.apply(view, node);
      if (replacement != null) {
        editor.replace(node, replacement);
        changed = true;
      }
    }
    return changed ? editor.prune().build() : graph;
  }

  /** Mul(x, Sigmoid(x)). */
  private static @Nullable Node silu(GraphView view, Node mul) {
    if (!mul.is("Mul")) {
      return null;
    }
    for (int i = 0; i < 2; i++) {
      Node sigmoid = view.producer(mul.input(i), "Sigmoid");
      String x = mul.requiredInput(1 - i);
      if (sigmoid != null && x.equals(sigmoid.input(0))) {
        return own(mul, "Silu", List.of(x), Map.of());
      }
    }
    return null;
  }

  /** Add(y, Mul(z, constant)), as low-rank adapters end. */
  private static @Nullable Node scaledAdd(GraphView view, Node add) {
    if (!add.is("Add")) {
      return null;
    }
    Node mul = view.producer(add.input(1), "Mul");
    if (mul == null || view.onlyConsumer(mul.output()) == null) {
      return null;
    }
    double alpha = view.scalar(mul.input(1));
    return Double.isNaN(alpha)
        ? null
        : own(
            add,
            "ScaledAdd",
            List.of(add.requiredInput(0), mul.requiredInput(0)),
            Map.of("alpha", Attribute.of((float) alpha)));
  }

  /** Add(Mul(x, trained), z), which one pass over memory computes; no arithmetic on shapes. */
  private static @Nullable Node mulAdd(GraphView view, Node add) {
    if (!add.is("Add")) {
      return null;
    }
    Node mul = view.producer(add.input(0), "Mul");
    if (mul == null || view.onlyConsumer(mul.output()) == null || !trains(view, mul.input(1))) {
      return null;
    }
    return own(
        add,
        "MulAdd",
        List.of(mul.requiredInput(0), mul.requiredInput(1), add.requiredInput(1)),
        Map.of());
  }

  /** Whether a value is trained, or made of something that is by one node. */
  private static boolean trains(GraphView view, @Nullable String value) {
    Set<String> trainable = view.graph().trainable();
    Node node = view.producer(value);
    return trainable.contains(value)
        || (node != null && node.inputs().stream().anyMatch(trainable::contains));
  }

  /** A node of our own domain in another's place. */
  static Node own(Node place, String op, List<String> inputs, Map<String, Attribute> attributes) {
    return new Node(
        place.name(),
        Graph.OWN_DOMAIN,
        op,
        inputs,
        List.of(place.output()),
        attributes,
        place.tag(),
        place.metadata());
  }

  /** A node of ONNX's own set in another's place. */
  static Node standard(
      Node place, String op, List<String> inputs, Map<String, Attribute> attributes) {
    return new Node(
        place.name(),
        "",
        op,
        inputs,
        List.of(place.output()),
        attributes,
        place.tag(),
        place.metadata());
  }
}
