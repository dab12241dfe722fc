package io.peft4j.cli;

import io.peft4j.AdaptedModel;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Node;
import io.peft4j.graph.Value;
import io.peft4j.site.AttentionSite;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.FeedForwardSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.NormSite;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * What a model is.
 *
 * @param parameters how many numbers its weights hold, the adapter's included
 * @param trainable how many of them train; 0 without an adapter
 * @param dtypes numbers by element type of the weights
 * @param ops nodes by operator
 * @param notRunnable operators that the PyTorch engine has no lowering for, with one node each
 * @param unused weights that the model does not read
 */
record Inspection(
    String model,
    String format,
    String architecture,
    List<String> labels,
    List<String> inputs,
    List<String> outputs,
    long parameters,
    long trainable,
    Map<String, Long> dtypes,
    List<SiteRow> sites,
    Map<String, Integer> ops,
    List<String> notRunnable,
    List<String> unused,
    @Nullable AdapterRow adapter) {

  /**
   * A place where adapters attach.
   *
   * @param kind linear, feed-forward, attention, norm or embedding
   * @param role of a linear layer; empty for the others
   * @param sizes of a linear layer: in, out; of a feed-forward block: in, inner, out; of a norm:
   *     its features; of an embedding: entries, features; empty for attention
   * @param dtype the element type of the weights
   */
  record SiteRow(String kind, String path, String role, List<Long> sizes, String dtype) {
    String sizesText() {
      return sizes.stream()
          .map(String::valueOf)
          .collect(Collectors.joining(kind.equals("embedding") ? " x " : " -> "));
    }
  }

  /** An adapter; tensors by their keys in its file. */
  record AdapterRow(String method, List<String> targets, Map<String, String> tensors) {}

  static Inspection of(ModelArguments.Opened opened) {
    Graph graph = opened.graph();
    AdaptedModel adapted = opened.adapted();
    return new Inspection(
        opened.base().checkpoint().source().toString(),
        opened.base().checkpoint().format(),
        opened.base().checkpoint().architecture(),
        opened.labels(),
        graph.inputs().stream().map(Value::toString).toList(),
        graph.outputs().stream().map(Value::toString).toList(),
        graph.parameterCount(),
        graph.trainableCount(),
        dtypes(graph),
        sites(graph),
        ops(graph),
        TorchEngine.missing(graph).stream().map(Node::describe).toList(),
        unused(graph),
        adapted == null ? null : adapter(adapted));
  }

  private static AdapterRow adapter(AdaptedModel adapted) {
    Map<String, String> tensors = new TreeMap<>();
    adapted
        .adapter()
        .tensors()
        .forEach(
            t ->
                tensors.put(
                    adapted.key(t), adapted.graph().initializer(t.initializer()).toString()));
    return new AdapterRow(adapted.adapter().method().name(), adapted.adapter().targets(), tensors);
  }

  private static Map<String, Long> dtypes(Graph graph) {
    Map<String, Long> dtypes = new TreeMap<>();
    graph
        .parameters()
        .forEach(
            key ->
                dtypes.merge(
                    graph.initializer(key).dtype().label(),
                    graph.initializer(key).size(),
                    Long::sum));
    return dtypes;
  }

  private static Map<String, Integer> ops(Graph graph) {
    Map<String, Integer> ops = new TreeMap<>();
    graph
        .nodes()
        .forEach(
            n ->
                ops.merge(
                    (n.domain().isEmpty() ? "" : n.domain() + "::") + n.op(), 1, Integer::sum));
    return ops;
  }

  private static List<SiteRow> sites(Graph graph) {
    Sites sites = Sites.of(graph);
    List<SiteRow> rows = new ArrayList<>();
    for (LinearSite site : sites.linears()) {
      List<Long> sizes = List.of(site.inFeatures(), site.outFeatures());
      rows.add(
          new SiteRow(
              "linear", site.path(), site.role().label(), sizes, dtype(graph, site.weight())));
    }
    for (FeedForwardSite site : sites.feedForwards()) {
      List<Long> sizes =
          List.of(site.up().inFeatures(), site.up().outFeatures(), site.down().outFeatures());
      rows.add(
          new SiteRow("feed-forward", site.path(), "", sizes, dtype(graph, site.up().weight())));
    }
    for (AttentionSite site : sites.attentions()) {
      rows.add(
          new SiteRow(
              "attention", site.path(), "", List.of(), dtype(graph, site.query().weight())));
    }
    for (NormSite site : sites.norms()) {
      List<Long> sizes = List.of(graph.initializer(site.weight()).size());
      rows.add(new SiteRow("norm", site.path(), "", sizes, dtype(graph, site.weight())));
    }
    for (EmbeddingSite site : sites.embeddings()) {
      List<Long> sizes = List.of(site.entries(), site.size());
      rows.add(new SiteRow("embedding", site.path(), "", sizes, dtype(graph, site.weight())));
    }
    return rows;
  }

  private static String dtype(Graph graph, String weight) {
    return graph.initializer(weight).dtype().label();
  }

  /** Weights of the file that no node reads. */
  private static List<String> unused(Graph graph) {
    Set<String> used = new HashSet<>();
    graph.nodes().forEach(node -> used.addAll(node.uses()));
    graph.outputs().forEach(output -> used.add(output.name()));
    return graph.initializers().keySet().stream()
        .filter(name -> !used.contains(name) && !name.startsWith(Graph.CONSTANT))
        .toList();
  }

  /** For people. */
  String text() {
    StringBuilder text = new StringBuilder();
    line(text, "model", model + " (" + format + ")");
    if (!architecture.isEmpty()) {
      line(text, "architecture", architecture);
    }
    inputs.forEach(v -> line(text, "input", v));
    outputs.forEach(v -> line(text, "output", v));
    if (!labels.isEmpty()) {
      line(text, "labels", String.join(", ", labels));
    }
    line(text, "parameters", String.format(Locale.ROOT, "%,d %s", parameters, dtypes.keySet()));
    if (adapter != null) {
      line(text, "trainable", String.format(Locale.ROOT, "%,d", trainable));
      line(text, "adapter", adapter.method() + " on " + String.join(", ", adapter.targets()));
      adapter
          .tensors()
          .forEach(
              (key, tensor) ->
                  text.append("  ").append(key).append(' ').append(tensor).append('\n'));
    }
    if (!sites.isEmpty()) {
      site(text, "site", "name", "role", "size", "type");
      sites.forEach(
          row -> site(text, row.kind(), row.path(), row.role(), row.sizesText(), row.dtype()));
    }
    line(text, "operators", ops.toString().replaceAll("[{}]", ""));
    notRunnable.forEach(node -> line(text, "not runnable", node));
    if (!unused.isEmpty()) {
      line(text, "unused", String.join(", ", unused));
    }
    return text.toString();
  }

  private static void site(
      StringBuilder text, String kind, String name, String role, String size, String type) {
    text.append(
        String.format(Locale.ROOT, "%-13s %-48s %-18s %-20s %s", kind, name, role, size, type)
            .stripTrailing());
    text.append('\n');
  }

  private static void line(StringBuilder text, String name, String value) {
    text.append(String.format(Locale.ROOT, "%-13s %s%n", name, value));
  }
}
