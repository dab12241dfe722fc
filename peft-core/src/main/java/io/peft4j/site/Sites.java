package io.peft4j.site;

import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * All sites of a graph, in the graph's order. What adapters have added is not among them.
 *
 * @param linears every linear layer with its role
 */
public record Sites(
    List<LinearSite> linears,
    List<FeedForwardSite> feedForwards,
    List<AttentionSite> attentions,
    List<NormSite> norms,
    List<EmbeddingSite> embeddings,
    List<ConvSite> convolutions) {

  private static final Set<String> ARRANGING =
      Set.of("Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze");

  public Sites {
    linears = List.copyOf(linears);
    feedForwards = List.copyOf(feedForwards);
    attentions = List.copyOf(attentions);
    norms = List.copyOf(norms);
    embeddings = List.copyOf(embeddings);
    convolutions = List.copyOf(convolutions);
  }

  /** Finds the sites of a graph by structure; names serve only to give them paths. */
  public static Sites of(Graph graph) {
    SiteFinder finder = new SiteFinder(graph);
    Map<String, LinearSite> linears = finder.linears();
    BlockFinder blocks = new BlockFinder(finder.view(), linears);
    List<FeedForwardSite> feedForwards = blocks.feedForwards();
    List<AttentionSite> attentions = blocks.attentions();
    Map<LinearSite, Role> roles = roles(graph, linears, feedForwards, attentions);
    Map<LinearSite, LinearSite> named = new LinkedHashMap<>();
    roles.forEach((site, role) -> named.put(site, site.withRole(role)));
    return new Sites(
        List.copyOf(named.values()),
        feedForwards.stream().map(f -> withRoles(f, named)).toList(),
        attentions.stream().map(a -> withRoles(a, named)).toList(),
        finder.norms(),
        finder.embeddings(),
        finder.convolutions());
  }

  private static Map<LinearSite, Role> roles(
      Graph graph,
      Map<String, LinearSite> linears,
      List<FeedForwardSite> feedForwards,
      List<AttentionSite> attentions) {
    Map<LinearSite, Role> roles = new LinkedHashMap<>();
    linears.values().forEach(site -> roles.put(site, Role.OTHER));
    graph.outputs().stream()
        .map(v -> linears.get(v.name()))
        .filter(site -> site != null)
        .forEach(site -> roles.put(site, Role.OUTPUT));
    for (FeedForwardSite site : feedForwards) {
      roles.put(site.up(), Role.FEED_FORWARD_UP);
      roles.put(site.down(), Role.FEED_FORWARD_DOWN);
      if (site.gate() != null) {
        roles.put(site.gate(), Role.FEED_FORWARD_GATE);
      }
    }
    for (AttentionSite site : attentions) {
      boolean together = site.query().equals(site.key());
      roles.put(site.query(), together ? Role.QUERY_KEY_VALUE : Role.QUERY);
      if (!together) {
        roles.put(site.key(), Role.KEY);
        roles.put(site.value(), Role.VALUE);
      }
      roles.put(site.output(), Role.ATTENTION_OUTPUT);
    }
    return roles;
  }

  private static LinearSite role(Map<LinearSite, LinearSite> named, LinearSite site) {
    return named.getOrDefault(site, site);
  }

  private static FeedForwardSite withRoles(
      FeedForwardSite site, Map<LinearSite, LinearSite> named) {
    LinearSite gate = site.gate();
    return new FeedForwardSite(
        site.path(),
        role(named, site.up()),
        gate == null ? null : role(named, gate),
        role(named, site.down()));
  }

  private static AttentionSite withRoles(AttentionSite site, Map<LinearSite, LinearSite> named) {
    return new AttentionSite(
        site.path(),
        role(named, site.query()),
        role(named, site.key()),
        role(named, site.value()),
        role(named, site.output()));
  }

  /**
   * The table that the model's {@code input_ids} are looked up in.
   *
   * @param view of the graph that the sites are of
   */
  public Optional<EmbeddingSite> wordEmbeddings(GraphView view) {
    return embeddings.stream()
        .filter(table -> isArranged(view, table.indices(), "input_ids"))
        .findFirst();
  }

  /** Whether a value is an input of the graph, at most in another shape or type. */
  private static boolean isArranged(GraphView view, String value, String input) {
    String current = value;
    while (!current.equals(input)) {
      Node node = view.producer(current);
      if (node == null || !node.domain().isEmpty() || !ARRANGING.contains(node.op())) {
        return false;
      }
      current = node.requiredInput(0);
    }
    return true;
  }

  /** Every single layer that has a path: linear layers, norms, embeddings and convolutions. */
  public List<Site> modules() {
    List<Site> all = new ArrayList<>(linears);
    all.addAll(norms);
    all.addAll(embeddings);
    all.addAll(convolutions);
    return all;
  }

  /** The linear layer of this path. */
  public Optional<LinearSite> linear(String path) {
    return linears.stream().filter(site -> site.path().equals(path)).findFirst();
  }
}
