package io.peft4j.compress.prune;

import io.peft4j.PeftException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
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
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Removes whole layers of a stack, each of them attention and a feed-forward block with their
 * norms. What went into a removed layer goes into the next one instead.
 */
public final class LayerPruning {
  private final GraphView view;
  private final List<AttentionSite> attentions;
  private final List<FeedForwardSite> feedForwards;
  private final Set<String> norms;

  private LayerPruning(Graph graph) {
    view = new GraphView(graph);
    Sites sites = Sites.of(graph);
    attentions = sites.attentions();
    feedForwards = sites.feedForwards();
    norms = sites.norms().stream().map(NormSite::output).collect(Collectors.toSet());
    if (attentions.isEmpty() || attentions.size() != feedForwards.size()) {
      throw new UnsupportedModelException(
          "model '%s' has %d attention and %d feed-forward blocks; layers can only be removed from a stack that has one of each in every layer"
              .formatted(graph.name(), attentions.size(), feedForwards.size()));
    }
  }

  /** How many layers a graph has. */
  public static int count(Graph graph) {
    return new LayerPruning(graph).attentions.size();
  }

  /**
   * Layers to keep when a stack is cut to fewer: spread evenly, the last one among them.
   *
   * @throws PeftException unless 1 ≤ kept ≤ count
   */
  public static Set<Integer> spread(int count, int kept) {
    if (kept < 1 || kept > count) {
      throw new PeftException("of %d layers %d cannot be kept".formatted(count, kept));
    }
    return IntStream.rangeClosed(1, kept)
        .mapToObj(i -> Math.toIntExact(Math.round(i * count / (double) kept)) - 1)
        .collect(Collectors.toCollection(TreeSet::new));
  }

  /**
   * The graph with some layers only.
   *
   * @param kept numbers of layers, from 0
   * @throws PeftException if a layer does not exist, or none is kept
   * @throws UnsupportedModelException if the layers are not joined by a residual stream alone
   */
  public static Graph keep(Graph graph, Set<Integer> kept) {
    return new LayerPruning(graph).cut(graph, new TreeSet<>(kept));
  }

  private Graph cut(Graph graph, SortedSet<Integer> kept) {
    int count = attentions.size();
    if (kept.isEmpty() || kept.first() < 0 || kept.last() >= count) {
      throw new PeftException(
          "model '%s' has the layers 0 to %d; kept were to be %s"
              .formatted(graph.name(), count - 1, kept));
    }
    GraphEditor editor = graph.edit().forgetValues();
    String stream = entry(0);
    for (int layer = 0; layer < count; layer++) {
      String end = layer + 1 < count ? entry(layer + 1) : end(layer);
      if (kept.contains(layer)) {
        stream = end;
      } else if (!end.equals(stream)) {
        String from = end;
        String to = stream;
        editor.replaceUses(from, to, node -> false);
      }
    }
    Graph shorter = editor.prune().build();
    requireGone(graph, shorter, kept);
    return shorter;
  }

  /** The values of the residual stream: before each layer, and behind the last. */
  static List<String> stream(Graph graph) {
    LayerPruning layers = new LayerPruning(graph);
    int count = layers.attentions.size();
    List<String> stream = new ArrayList<>();
    IntStream.range(0, count).mapToObj(layers::entry).forEach(stream::add);
    stream.add(layers.end(count - 1));
    return stream;
  }

  /** The residual stream where it enters a layer: what attention's result is added to. */
  private String entry(int layer) {
    AttentionSite site = attentions.get(layer);
    Node add = nextAdd(site.output().output(), site.path());
    List<String> others =
        add.inputs().stream().filter(value -> !leadsTo(site.output().output(), value)).toList();
    if (others.size() != 1) {
      throw noStream(site.path());
    }
    return others.get(0);
  }

  /** The residual stream behind the last layer, with the norm that closes a post-norm layer. */
  private String end(int layer) {
    FeedForwardSite site = feedForwards.get(layer);
    String sum = nextAdd(site.down().output(), site.path()).output();
    boolean normFirst = !entry(layer).equals(attentions.get(layer).query().input());
    return normFirst ? sum : nextNorm(sum, site.path());
  }

  /** The next addition behind a value, with only casts, dropout and the like between. */
  private Node nextAdd(String value, String path) {
    String current = value;
    while (true) {
      List<Node> users =
          view.consumers(current).stream().filter(node -> !node.is("Shape")).toList();
      if (users.size() != 1) {
        throw noStream(path);
      }
      Node user = users.get(0);
      if (user.is("Add")) {
        return user;
      }
      if (!List.of("Cast", "Dropout", "Identity", "Reshape").contains(user.op())) {
        throw noStream(path);
      }
      current = user.output();
    }
  }

  private boolean leadsTo(String from, String value) {
    String current = value;
    while (!current.equals(from)) {
      Node node = view.producer(current);
      if (node == null || !List.of("Cast", "Dropout", "Identity", "Reshape").contains(node.op())) {
        return false;
      }
      current = node.requiredInput(0);
    }
    return true;
  }

  private String nextNorm(String value, String path) {
    Set<String> seen = new HashSet<>();
    Deque<String> open = new ArrayDeque<>(List.of(value));
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
    throw noStream(path);
  }

  private static UnsupportedModelException noStream(String path) {
    return new UnsupportedModelException(
        "no residual stream is found around '%s'; layers can only be removed from a stack whose blocks each add their result to what went into them"
            .formatted(path));
  }

  private void requireGone(Graph before, Graph after, Set<Integer> kept) {
    List<LinearSite> gone = new ArrayList<>();
    Set<String> staying = new HashSet<>();
    for (int layer = 0; layer < attentions.size(); layer++) {
      AttentionSite attention = attentions.get(layer);
      FeedForwardSite feedForward = feedForwards.get(layer);
      for (LinearSite site :
          List.of(
              attention.query(),
              attention.key(),
              attention.value(),
              attention.output(),
              feedForward.up(),
              feedForward.down())) {
        if (kept.contains(layer)) {
          staying.add(site.weight());
        } else {
          gone.add(site);
        }
      }
    }
    for (LinearSite site : gone) {
      if (!staying.contains(site.weight()) && after.initializers().containsKey(site.weight())) {
        throw new UnsupportedModelException(
            "model '%s' uses layer '%s' also past the residual stream; it cannot be removed"
                .formatted(before.name(), site.path()));
      }
    }
  }
}
