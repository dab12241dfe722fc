package io.peft4j.adapters.freeze;

import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Value;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;
import io.peft4j.task.PooledHead;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Finds the linear layers whose result is an output of the model. */
final class OutputLayers {
  /** What may lie between: operators that move, pick, convert or normalise scores. */
  private static final Set<String> BETWEEN =
      Set.of(
          "Identity",
          "Cast",
          "Reshape",
          "Flatten",
          "Squeeze",
          "Unsqueeze",
          "Transpose",
          "Gather",
          "GatherND",
          "GatherElements",
          "Slice",
          "Split",
          "Softmax",
          "LogSoftmax",
          "Sigmoid");

  private OutputLayers() {}

  static List<LinearSite> of(Graph graph, Sites sites) {
    GraphView view = new GraphView(graph);
    Map<String, LinearSite> byOutput = new LinkedHashMap<>();
    sites.linears().forEach(site -> byOutput.put(site.output(), site));
    Set<LinearSite> found = new LinkedHashSet<>();
    for (Value output : graph.outputs()) {
      LinearSite site = behind(view, byOutput, output.name());
      // Keys and values that a decoder gives out for its next step are no head.
      if (site != null && !site.role().isAttention()) {
        found.add(site);
      }
    }
    return List.copyOf(found);
  }

  private static @Nullable LinearSite behind(
      GraphView view, Map<String, LinearSite> byOutput, String output) {
    String value = output;
    while (value != null && !byOutput.containsKey(value)) {
      Node node = view.producer(value);
      boolean passes = node != null && node.domain().isEmpty() && BETWEEN.contains(node.op());
      value = node != null && passes ? node.input(0) : null;
    }
    return value == null ? null : byOutput.get(value);
  }

  /** Whether the model itself gives class scores, so that training adds no head to it. */
  static boolean hasOwnScores(Graph graph) {
    Node maker = new GraphView(graph).producer(PooledHead.LOGITS);
    return maker != null
        && maker.tag().isEmpty()
        && graph.outputs().stream().anyMatch(v -> v.name().equals(PooledHead.LOGITS));
  }
}
