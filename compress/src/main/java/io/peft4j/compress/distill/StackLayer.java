package io.peft4j.compress.distill;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.site.AttentionSite;
import io.peft4j.site.FeedForwardSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.NormSite;
import io.peft4j.site.Sites;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * One layer of a stack of transformer blocks.
 *
 * @param output what the next layer's attention reads, or what leaves the last norm; [batch,
 *     sequence, size]
 */
record StackLayer(LinearSite query, LinearSite key, LinearSite value, String output) {

  /**
   * The layers of a graph in order.
   *
   * @throws UnsupportedModelException if it is no such stack
   */
  static List<StackLayer> of(Graph graph) {
    Sites sites = Sites.of(graph);
    List<AttentionSite> attentions = sites.attentions();
    List<FeedForwardSite> feedForwards = sites.feedForwards();
    if (attentions.isEmpty() || attentions.size() != feedForwards.size()) {
      throw new UnsupportedModelException(
          "model '%s' has %d attention and %d feed-forward blocks; what happens inside it can only be learned from a stack that has one of each in every layer"
              .formatted(graph.name(), attentions.size(), feedForwards.size()));
    }
    List<StackLayer> layers = new ArrayList<>();
    for (int i = 0; i < attentions.size(); i++) {
      AttentionSite site = attentions.get(i);
      String output =
          i + 1 < attentions.size()
              ? attentions.get(i + 1).query().input()
              : lastNorm(graph, sites, feedForwards.get(i));
      layers.add(new StackLayer(site.query(), site.key(), site.value(), output));
    }
    return layers;
  }

  /** The first norm behind the last block. */
  private static String lastNorm(Graph graph, Sites sites, FeedForwardSite last) {
    GraphView view = new GraphView(graph);
    Set<String> norms = sites.norms().stream().map(NormSite::output).collect(Collectors.toSet());
    Set<String> seen = new HashSet<>();
    Deque<String> open = new ArrayDeque<>(List.of(last.down().output()));
    while (!open.isEmpty()) {
      for (Node user : view.consumers(open.poll())) {
        for (String output : user.outputs()) {
          if (norms.contains(output)) {
            return output;
          }
          if (!user.is("MatMul") && !user.is("Gemm") && seen.add(output)) {
            open.add(output);
          }
        }
      }
    }
    throw new UnsupportedModelException(
        "no norm follows the last layer '%s' of model '%s'".formatted(last.path(), graph.name()));
  }

  /** Queries, keys and values apart; an error where one layer makes all three. */
  StackLayer apart(Graph graph) {
    if (query.equals(key)) {
      throw new UnsupportedModelException(
          "layer '%s' of model '%s' makes queries, keys and values together, so their relations cannot be learned; leave relations and attention out"
              .formatted(query.path(), graph.name()));
    }
    return this;
  }
}
