package io.peft4j.compress.export;

import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Sizes of the batch and of the sequence, fixed or left to each run. */
final class Axes {
  private static final int BATCH = 0;
  private static final int SEQUENCE = 1;

  private Axes() {}

  /**
   * Declares the first two axes of every input, and the axes of outputs that have the same symbols.
   * What is known of values in between is dropped: it may hold no longer.
   *
   * @param batch null to leave it as it is
   * @param sequence likewise
   */
  static Graph set(Graph graph, @Nullable Dim batch, @Nullable Dim sequence) {
    if (batch == null && sequence == null) {
      return graph;
    }
    Map<Dim, Dim> changed = new HashMap<>();
    List<Value> inputs = new ArrayList<>();
    for (Value input : graph.inputs()) {
      boolean given = !graph.initializers().containsKey(input.name());
      inputs.add(given ? input(input, batch, sequence, changed) : input);
    }
    List<Value> outputs = graph.outputs().stream().map(v -> output(v, batch, changed)).toList();
    return new Graph(
        graph.name(),
        inputs,
        outputs,
        graph.nodes(),
        graph.initializers(),
        graph.tags(),
        graph.trainable(),
        Map.of(),
        graph.opsets(),
        graph.metadata(),
        graph.captures());
  }

  private static Value input(
      Value input, @Nullable Dim batch, @Nullable Dim sequence, Map<Dim, Dim> changed) {
    List<Dim> shape = input.shape();
    if (shape == null) {
      return input;
    }
    List<Dim> dims = new ArrayList<>(shape);
    replace(dims, BATCH, batch, changed);
    replace(dims, SEQUENCE, sequence, changed);
    return new Value(input.name(), input.dtype(), dims);
  }

  private static void replace(
      List<Dim> dims, int axis, @Nullable Dim wanted, Map<Dim, Dim> changed) {
    if (wanted != null && axis < dims.size()) {
      if (!dims.get(axis).symbol().isEmpty()) {
        changed.put(dims.get(axis), wanted);
      }
      dims.set(axis, wanted);
    }
  }

  /** Of an output the first axis is the batch; another is known by its symbol alone. */
  private static Value output(Value output, @Nullable Dim batch, Map<Dim, Dim> changed) {
    List<Dim> shape = output.shape();
    if (shape == null) {
      return output;
    }
    List<Dim> dims = new ArrayList<>();
    for (int i = 0; i < shape.size(); i++) {
      Dim dim = shape.get(i);
      Dim known = changed.getOrDefault(dim, dim);
      dims.add(i == BATCH && batch != null ? batch : known);
    }
    return new Value(output.name(), output.dtype(), dims);
  }
}
