package io.peft4j.compress.distill;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.Arrays;
import java.util.List;

/**
 * Another method, and beside it the rows of a table that the given tokens pick: an optimiser step
 * then costs by the tokens that occur, not by the vocabulary. All other rows stay.
 *
 * @param inner trains the rest; it leaves the table alone
 * @param table the initializer, [entries, size]
 * @param tokens entries that train, sorted
 */
record SeenTokens(AdapterMethod inner, String table, List<Long> tokens) implements AdapterMethod {
  private static final String SEEN = "seen.";

  @Override
  public String name() {
    return inner.name();
  }

  @Override
  public AttachedAdapter attach(Graph base, String adapter, long seed) {
    AttachedAdapter attached = inner.attach(base, adapter, seed);
    Tensor whole = base.initializer(table);
    int[] rows = tokens.stream().mapToInt(Math::toIntExact).toArray();
    long[] places = new long[Math.toIntExact(whole.dim(0))];
    Arrays.fill(places, -1);
    for (int i = 0; i < rows.length; i++) {
      places[rows[i]] = i;
    }
    GraphEditor editor = attached.graph().edit().tagging(adapter);
    editor.initializer(SEEN + table, selected(whole, rows)).train(SEEN + table);
    String where = editor.constant(SEEN + "places", Tensor.vector(places));
    String zero = editor.constant(SEEN + "zero", Tensor.scalar(0L));
    String last = editor.constant(SEEN + "last", Tensor.vector(-1));
    for (Node gather : attached.graph().nodes()) {
      if (!gather.is("Gather") || !gather.requiredInput(0).equals(table)) {
        continue;
      }
      String scope = "/seen" + gather.name();
      String place =
          editor.node(scope + "/Gather", "Gather", List.of(where, gather.requiredInput(1)));
      String row = editor.node(scope + "/Max", "Max", List.of(place, zero));
      String own = editor.node(scope + "/Gather", "Gather", List.of(SEEN + table, row));
      String seen = editor.node(scope + "/Equal", "Equal", List.of(place, row));
      String column = editor.node(scope + "/Unsqueeze", "Unsqueeze", List.of(seen, last));
      String chosen = editor.node(scope + "/Where", "Where", List.of(column, own, gather.output()));
      editor.replaceUses(gather.output(), chosen, node -> node.outputs().contains(chosen));
    }
    return new AttachedAdapter(
        adapter, this, base, editor.build(), attached.tensors(), attached.targets());
  }

  @Override
  public Graph merge(AttachedAdapter adapter) {
    Graph merged = inner.merge(adapter);
    Tensor whole = merged.initializer(table);
    float[] values = whole.toFloats();
    float[] trained = adapter.graph().initializer(SEEN + table).toFloats();
    int size = Math.toIntExact(whole.dim(1));
    for (int i = 0; i < tokens.size(); i++) {
      System.arraycopy(trained, i * size, values, Math.toIntExact(tokens.get(i)) * size, size);
    }
    Tensor result = Tensor.ofFloats(whole.shape(), values).cast(whole.dtype());
    return merged.edit().initializer(table, result).build();
  }

  private static Tensor selected(Tensor table, int... rows) {
    if (table.dtype() != DType.FLOAT32) {
      throw new PeftException("a table of %s cannot be trained in part".formatted(table.dtype()));
    }
    int size = Math.toIntExact(table.dim(1));
    float[] all = table.toFloats();
    float[] values = new float[rows.length * size];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(all, rows[i] * size, values, i * size, size);
    }
    return Tensor.ofFloats(new long[] {rows.length, size}, values);
  }
}
