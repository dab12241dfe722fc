package io.peft4j.compress.prune;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.site.AttentionSite;
import io.peft4j.site.FeedForwardSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** Finds the blocks of a structure in a graph. */
final class Blocks {
  private final Dependencies dependencies;
  private final Sites sites;
  private final Structure structure;
  private final List<Block> found = new ArrayList<>();
  private final List<String> refused = new ArrayList<>();
  private final Set<Axis> covered = new HashSet<>();
  private final Map<String, Integer> paths = new HashMap<>();

  private Blocks(Dependencies dependencies, Structure structure) {
    this.dependencies = dependencies;
    this.structure = structure;
    sites = Sites.of(dependencies.graph());
  }

  /**
   * All blocks of a structure. Places that share weights, or that are added together, are one
   * block.
   *
   * @throws UnsupportedModelException if there is none
   */
  static List<Block> of(Dependencies dependencies, Structure structure) {
    Blocks blocks = new Blocks(dependencies, structure);
    switch (structure) {
      case NEURONS -> blocks.sites.feedForwards().forEach(blocks::neurons);
      case HEADS -> blocks.sites.attentions().forEach(blocks::heads);
      case CHANNELS -> blocks.graph().nodes().forEach(blocks::channels);
      case WIDTH -> blocks.width();
      case LAYERS, VOCABULARY ->
          throw new IllegalArgumentException(structure.label() + " are found elsewhere");
    }
    if (blocks.found.isEmpty()) {
      throw new UnsupportedModelException(
          "model '%s' has no %s that could be pruned%s"
              .formatted(
                  blocks.graph().name(),
                  structure.label(),
                  blocks.refused.isEmpty() ? "" : ": " + blocks.refused.get(0)));
    }
    return blocks.found;
  }

  private Graph graph() {
    return dependencies.graph();
  }

  private void neurons(FeedForwardSite site) {
    inputs(site.down(), site.path(), Math.toIntExact(site.down().inFeatures()), i -> i);
  }

  private void heads(AttentionSite site) {
    int features = Math.toIntExact(site.output().inFeatures());
    int heads = headCount(site);
    if (heads == 0 || features % heads != 0) {
      refused.add("the heads of '" + site.path() + "' are not told apart by an axis of their own");
      return;
    }
    int width = features / heads;
    int groups = keyHeads(site, features, width);
    int each = groups <= 1 || heads % groups != 0 ? 1 : heads / groups;
    inputs(site.output(), site.path(), heads / each, i -> i / width / each);
  }

  /** The size of the head axis where the shares of attention meet the values; 0 if it has none. */
  private int headCount(AttentionSite site) {
    GraphView view = dependencies.view();
    Node node = view.producer(site.output().input());
    while (node != null && !node.is("MatMul")) {
      boolean layout = node.is("Reshape") || node.is("Transpose") || node.is("Cast");
      node = layout || node.is("Identity") ? view.producer(node.requiredInput(0)) : null;
    }
    return node == null || dependencies.shapes().rank(node.output()) != 4
        ? 0
        : dependencies.shapes().size(node.output(), 1);
  }

  private static int keyHeads(AttentionSite site, int features, int width) {
    int keys = Math.toIntExact(site.key().outFeatures());
    return site.key().weight().equals(site.query().weight())
        ? Math.max(0, (keys - features) / 2 / width)
        : keys / width;
  }

  private void inputs(LinearSite site, String path, int units, IntUnaryOperator unit) {
    Axis axis = new Axis(site.weight(), site.inFirst() ? 0 : 1);
    int size = Math.toIntExact(site.inFeatures());
    add(path, units, axis, IntStream.range(0, size).map(unit).toArray());
  }

  private void channels(Node node) {
    String weight = node.is("Conv") ? node.requiredInput(1) : null;
    if (weight == null || !graph().initializers().containsKey(weight)) {
      return;
    }
    int channels = dependencies.shapes().size(weight, 0);
    String path =
        weight.endsWith(".weight") ? weight.substring(0, weight.lastIndexOf('.')) : weight;
    add(path, channels, new Axis(weight, 0), IntStream.range(0, channels).toArray());
  }

  /** What the last layer of a block adds to the residual stream leads to all of the stream. */
  private void width() {
    if (sites.feedForwards().isEmpty()) {
      return;
    }
    LinearSite down = sites.feedForwards().get(0).down();
    int size = Math.toIntExact(down.outFeatures());
    Axis axis = new Axis(down.weight(), down.inFirst() ? 1 : 0);
    add("residual", size, axis, IntStream.range(0, size).toArray());
  }

  private void add(String path, int units, Axis start, int... labels) {
    if (units < 2 || covered.contains(start)) {
      return;
    }
    Map<Axis, int[]> reach = reach(start, labels);
    if (reach != null) {
      covered.addAll(reach.keySet());
      int again = paths.merge(path, 1, Integer::sum);
      found.add(new Block(structure, again == 1 ? path : path + "#" + again, units, reach));
    }
  }

  private @Nullable Map<Axis, int[]> reach(Axis start, int... labels) {
    try {
      return dependencies.follow(start, labels);
    } catch (UnsupportedModelException e) {
      refused.add(e.getMessage());
      return null;
    }
  }
}
