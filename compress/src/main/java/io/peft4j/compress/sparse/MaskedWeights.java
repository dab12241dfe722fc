package io.peft4j.compress.sparse;

import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.SavedModules;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Weights that train behind masks: the graph multiplies each with its mask of ones and zeros. */
final class MaskedWeights {
  private static final String MASK = ".mask";
  private static final String SCORES = ".scores";

  private MaskedWeights() {}

  static String mask(SparseLayer layer) {
    return layer.weight() + MASK;
  }

  static String scores(SparseLayer layer) {
    return layer.weight() + SCORES;
  }

  /** Lets the weights of layers train, and whatever else is chosen. */
  static AttachedAdapter train(
      Graph base, String adapter, long seed, List<SparseLayer> layers, FreezeMask trains) {
    List<String> names = layers.stream().map(SparseLayer::weight).toList();
    return trains.and(FreezeMask.named(names)).attach(base, adapter, seed);
  }

  /** Puts a mask behind a weight. */
  static void add(GraphEditor editor, SparseLayer layer, Tensor mask) {
    editor.initializer(mask(layer), mask);
    String masked =
        editor.node("/" + layer.weight() + "/Mul", "Mul", List.of(layer.weight(), mask(layer)));
    editor.replaceUses(layer.weight(), masked, (Node node) -> node.outputs().contains(masked));
  }

  /** The base with the trained values, masked ones being zero. */
  static GraphEditor merged(AttachedAdapter adapter, List<SparseLayer> layers) {
    GraphEditor editor = adapter.base().edit();
    SavedModules.keep(editor, adapter);
    for (SparseLayer layer : layers) {
      Tensor weight = adapter.graph().initializer(layer.weight());
      float[] values = weight.toFloats();
      float[] mask = adapter.graph().initializer(mask(layer)).toFloats();
      for (int i = 0; i < values.length; i++) {
        values[i] = mask[i] == 0 ? 0 : values[i];
      }
      editor.initializer(
          layer.weight(),
          Tensor.ofFloats(weight.shape(), values)
              .cast(adapter.base().initializer(layer.weight()).dtype()));
    }
    return editor;
  }

  /** What became of each layer of a graph. */
  static Map<String, Double> sparsity(Graph graph, List<SparseLayer> layers) {
    Map<String, Double> shares = new LinkedHashMap<>();
    for (SparseLayer layer : layers) {
      Tensor weight = graph.initializer(layer.weight());
      shares.put(layer.path(), (double) SparseLayer.zeros(weight) / weight.size());
    }
    return shares;
  }
}
