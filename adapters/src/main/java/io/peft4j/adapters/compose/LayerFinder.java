package io.peft4j.adapters.compose;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.passes.Patterns;
import io.peft4j.site.AttentionSite;
import io.peft4j.site.FeedForwardSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Finds the layers of a transformer by following values from its blocks to the residual sums. */
final class LayerFinder {
  private static final Pattern LAYER = Pattern.compile("(.*?\\.\\d+)(\\..*)?");

  private final GraphView view;
  private final Map<String, Node> norms = new HashMap<>();
  private final Map<String, String> normOutputs = new HashMap<>();

  LayerFinder(GraphView view) {
    this.view = view;
    for (Node node : view.graph().nodes()) {
      Node norm = Patterns.layerNorm(view, node);
      if (norm != null) {
        norms.put(norm.requiredInput(0), norm);
        normOutputs.put(norm.requiredInput(0), node.output());
      }
    }
  }

  /**
   * The layers in order.
   *
   * @throws UnsupportedModelException if attention and feed-forward blocks do not come in pairs, or
   *     one does not end in a residual sum
   */
  List<TransformerLayer> layers(Sites sites) {
    List<AttentionSite> attentions = sites.attentions();
    List<FeedForwardSite> blocks = sites.feedForwards();
    if (blocks.isEmpty() || attentions.size() != blocks.size()) {
      throw new UnsupportedModelException(
          "model '%s' has %d attention and %d feed-forward blocks; this method needs layers of one attention and one feed-forward block each: take one that adapts linear layers, as lora"
              .formatted(view.graph().name(), attentions.size(), blocks.size()));
    }
    List<TransformerLayer> layers = new ArrayList<>();
    for (int i = 0; i < blocks.size(); i++) {
      AttentionSite attention = attentions.get(i);
      FeedForwardSite block = blocks.get(i);
      layers.add(
          new TransformerLayer(
              i,
              layerPath(block.down().path(), i),
              attention,
              block,
              sum(attention.output(), unflattened(attention.query().input())),
              sum(block.down(), unflattened(block.up().input()))));
    }
    return layers;
  }

  /** A layer that takes two axes may read the value with the first ones joined. */
  private String unflattened(String value) {
    Node reshape = view.producer(value, "Reshape");
    return reshape == null ? value : reshape.requiredInput(0);
  }

  private static String layerPath(String path, int number) {
    Matcher matcher = LAYER.matcher(path);
    return matcher.matches() ? matcher.group(1) : "layer." + number;
  }

  /**
   * The residual sum behind a block.
   *
   * @param blockInput what the block's first layer reads: the residual stream itself if the model
   *     normalises behind its sums
   */
  private ResidualSum sum(LinearSite last, String blockInput) {
    String hidden = last.output();
    while (true) {
      List<Node> users = view.consumers(hidden).stream().filter(node -> !node.is("Shape")).toList();
      if (users.size() != 1 || !users.get(0).domain().isEmpty()) {
        throw noSum(last);
      }
      Node next = users.get(0);
      switch (next.op()) {
        case "Dropout", "Identity", "Cast", "Reshape" -> hidden = next.output();
        case "Add" -> {
          int own = next.requiredInput(0).equals(hidden) ? 0 : 1;
          return joined(last, hidden, next.requiredInput(1 - own), next, blockInput);
        }
        default -> throw noSum(last);
      }
    }
  }

  private ResidualSum joined(
      LinearSite last, String hidden, String residual, Node sum, String blockInput) {
    Node norm = residual.equals(blockInput) ? norms.get(sum.output()) : null;
    if (residual.equals(blockInput) && norm == null) {
      throw new UnsupportedModelException(
          "behind '%s' nothing normalises the residual sum, before it neither; this method knows layers that normalise at one of the two places"
              .formatted(last.path()));
    }
    String output = norm == null ? sum.output() : normOutputs.get(sum.output());
    return new ResidualSum(last, hidden, residual, sum, norm, output == null ? "" : output);
  }

  private UnsupportedModelException noSum(LinearSite last) {
    return new UnsupportedModelException(
        "the block that ends in '%s' does not go straight into a residual sum, where this method attaches; take one that adapts linear layers, as lora"
            .formatted(last.path()));
  }
}
