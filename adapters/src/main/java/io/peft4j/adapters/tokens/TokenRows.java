package io.peft4j.adapters.tokens;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.Sites;
import java.util.HashSet;
import java.util.List;
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
  public static EmbeddingSite input(Sites sites) {
    return sites.embeddings().stream()
        .filter(embedding -> embedding.indices().equals("input_ids"))
        .findFirst()
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
    Tensor table = before.initializer(site.weight());
    String key = site.path() + "." + parameter + "." + adapter;
    editor.initializer(key, rows(table)).train(key);
    Expression stored = Expression.of(editor, site.path(), adapter, site.weight());
    Expression wide = table.dtype() == DType.FLOAT32 ? stored : stored.cast(DType.FLOAT32);
    long[] indices = ids.stream().mapToLong(Integer::longValue).toArray();
    String chosen =
        editor.constant(
            site.path() + ".token_indices." + adapter,
            Tensor.ofLongs(new long[] {ids.size(), 1}, indices));
    Expression replaced =
        wide.scattered(
            Expression.of(editor, site.path(), adapter, chosen),
            Expression.of(editor, site.path(), adapter, key));
    Expression narrow = table.dtype() == DType.FLOAT32 ? replaced : replaced.cast(table.dtype());
    Set<Object> old = new HashSet<>(before.nodes());
    editor.replaceUses(site.weight(), narrow.value(), node -> !old.contains(node));
    return new AdapterTensor(key, site.path(), parameter);
  }

  /** Puts the trained rows into the table. */
  public void merge(GraphEditor editor, Tensor trained) {
    Tensor table = editor.build().initializer(site.weight());
    int size = Math.toIntExact(site.size());
    double[] all = table.toDoubles();
    double[] rows = trained.toDoubles();
    for (int i = 0; i < ids.size(); i++) {
      System.arraycopy(rows, i * size, all, ids.get(i) * size, size);
    }
    editor.initializer(site.weight(), Tensor.ofDoubles(table.shape(), all).cast(table.dtype()));
  }
}
