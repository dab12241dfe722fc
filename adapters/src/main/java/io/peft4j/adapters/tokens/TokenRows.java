package io.peft4j.adapters.tokens;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Tensor;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Rows of one table of vectors, which trained ones stand for wherever the table is read. */
public final class TokenRows {
  private final EmbeddingSite site;
  private final List<Integer> ids;

  /**
   * @throws PeftException if an id is given twice or the table lacks it
   */
  public TokenRows(EmbeddingSite site, List<Integer> ids) {
    this.site = site;
    this.ids = List.copyOf(ids);
    Set<Integer> seen = new HashSet<>();
    for (int id : ids) {
      if (id < 0 || id >= site.entries() || !seen.add(id)) {
        throw new PeftException(
            "token %d %s; '%s' has %d entries"
                .formatted(
                    id,
                    id >= 0 && id < site.entries() ? "is named twice" : "does not exist",
                    site.path(),
                    site.entries()));
      }
    }
  }

  /** The table that the model's input ids are looked up in. */
  public static EmbeddingSite input(Sites sites, Graph graph) {
    return sites
        .wordEmbeddings(new GraphView(graph))
        .orElseThrow(
            () ->
                new PeftException(
                    "trainable tokens need a model that looks its input_ids up in a table; this has"
                        + " none"));
  }

  /** The rows as they are in a table. */
  private Tensor rows(Tensor table) {
    int size = Math.toIntExact(site.size());
    double[] all = table.toDoubles();
    double[] chosen = new double[ids.size() * size];
    for (int i = 0; i < ids.size(); i++) {
      System.arraycopy(all, ids.get(i) * size, chosen, i * size, size);
    }
    return Tensor.ofDoubles(new long[] {ids.size(), size}, chosen).cast(DType.FLOAT32);
  }

  /**
   * Lets every reader of the table see the trained rows.
   *
   * @param parameter their name behind the module's path
   * @return the rows, [ids, size], which start as they are
   */
  public AdapterTensor attach(GraphEditor editor, String adapter, String parameter) {
    Graph before = editor.build();
    String key = site.path() + "." + parameter + "." + adapter;
    editor.initializer(key, rows(before.initializer(site.weight()))).train(key);
    long[] indices = ids.stream().mapToLong(Integer::longValue).toArray();
    String chosen =
        editor.constant(
            site.path() + ".token_indices." + adapter,
            Tensor.ofLongs(new long[] {ids.size(), 1}, indices));
    Set<Object> old = new HashSet<>(before.nodes());
    for (Map.Entry<String, Boolean> weight : weights(before).entrySet()) {
      DType dtype = before.initializer(weight.getKey()).dtype();
      boolean transposed = weight.getValue();
      Expression stored = Expression.of(editor, site.path(), adapter, weight.getKey());
      Expression wide = dtype == DType.FLOAT32 ? stored : stored.cast(DType.FLOAT32);
      Expression replaced =
          (transposed ? wide.transposed() : wide)
              .scattered(
                  Expression.of(editor, site.path(), adapter, chosen),
                  Expression.of(editor, site.path(), adapter, key));
      Expression laid = transposed ? replaced.transposed() : replaced;
      Expression narrow = dtype == DType.FLOAT32 ? laid : laid.cast(dtype);
      editor.replaceUses(weight.getKey(), narrow.value(), node -> !old.contains(node));
    }
    return new AdapterTensor(key, site.path(), parameter);
  }

  /** The table's weight and its copies, each with whether it lies transposed. */
  private Map<String, Boolean> weights(Graph graph) {
    Map<String, Boolean> weights = new LinkedHashMap<>();
    weights.put(site.weight(), false);
    for (LinearSite layer : sharing(Sites.of(graph), graph)) {
      weights.putIfAbsent(layer.weight(), layer.inFirst());
    }
    return weights;
  }

  /**
   * The output layers that share the table: they have its weight, or, since exporters may write a
   * shared weight twice, a copy that is the same in every element.
   */
  List<LinearSite> sharing(Sites sites, Graph graph) {
    Tensor table = graph.initializer(site.weight());
    return sites.linears().stream()
        .filter(layer -> layer.weight().equals(site.weight()) || isCopy(layer, graph, table))
        .toList();
  }

  private boolean isCopy(LinearSite layer, Graph graph, Tensor table) {
    if (layer.outFeatures() != site.entries() || layer.inFeatures() != site.size()) {
      return false;
    }
    Tensor weight = graph.initializer(layer.weight());
    return (layer.inFirst() ? weight.transposed(1, 0) : weight).contentEquals(table);
  }

  /**
   * Puts the trained rows into the table, and into its copies.
   *
   * @param base the graph as it was before
   */
  public void merge(GraphEditor editor, Graph base, Tensor trained) {
    int size = Math.toIntExact(site.size());
    Tensor table = base.initializer(site.weight());
    double[] all = table.toDoubles();
    double[] rows = trained.toDoubles();
    for (int i = 0; i < ids.size(); i++) {
      System.arraycopy(rows, i * size, all, ids.get(i) * size, size);
    }
    Tensor merged = Tensor.ofDoubles(table.shape(), all).cast(table.dtype());
    weights(base)
        .forEach(
            (weight, transposed) ->
                editor.initializer(weight, transposed ? merged.transposed(1, 0) : merged));
  }
}
