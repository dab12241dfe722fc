package io.peft4j.compress.quantize;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** The int8 weights of one graph: each is made once, however many layers use it. */
final class Int8Weights {
  /**
   * Values of a graph.
   *
   * @param values the integers
   * @param scale float32
   */
  record Names(String values, String scale) {}

  private final GraphEditor editor;
  private final boolean reduced;
  private final Set<String> tables;
  private final Map<String, Names> made = new HashMap<>();

  /**
   * @param layers all that are quantised
   * @param reduced whether values end at 64
   */
  Int8Weights(GraphEditor editor, List<QuantizableLayer> layers, boolean reduced) {
    this.editor = editor;
    this.reduced = reduced;
    tables =
        layers.stream()
            .filter(layer -> layer.kind() == QuantizableLayer.Kind.EMBEDDING)
            .map(QuantizableLayer::weight)
            .collect(Collectors.toSet());
  }

  /** A table [entries, size] with scales [entries, 1]. */
  Names table(QuantizableLayer layer) {
    Names stored = stored(layer);
    return made.computeIfAbsent(
        "table " + layer.weight(),
        key -> {
          Tensor scale = tensor(stored.scale());
          return new Names(
              stored.values(),
              editor.constant(layer.weight() + "_row_scale", scale.reshaped(scale.size(), 1)));
        });
  }

  /** The weight of a linear layer as MatMul wants it: [in, out] with scales [out]. */
  Names linear(QuantizableLayer layer) {
    if (layer.inFirst()) {
      return stored(layer);
    }
    if (tables.contains(layer.weight())) { // one copy serves both; it is turned at load
      Names stored = stored(layer);
      return made.computeIfAbsent(
          "turned " + layer.weight(),
          key ->
              new Names(
                  editor.node(
                      layer.weight() + "_quantized_T",
                      "Transpose",
                      List.of(stored.values()),
                      Map.of("perm", Attribute.ofInts(1, 0))),
                  stored.scale()));
    }
    return made.computeIfAbsent(
        "linear " + layer.weight(),
        key -> {
          QuantizedTensor weight = Int8Channels.symmetric(layer.tensor(), 0, reduced);
          return add(layer.weight(), weight.values().transposed(1, 0), weight.scale());
        });
  }

  /** The weight as it lies in the graph, with a scale for each of the layer's channels. */
  Names stored(QuantizableLayer layer) {
    return made.computeIfAbsent(
        "stored " + layer.channelAxis() + " " + layer.weight(),
        key -> {
          QuantizedTensor weight =
              Int8Channels.symmetric(layer.tensor(), layer.channelAxis(), reduced);
          return add(layer.weight(), weight.values(), weight.scale());
        });
  }

  private Names add(String name, Tensor values, Tensor scale) {
    return new Names(
        editor.constant(name + "_quantized", values), editor.constant(name + "_scale", scale));
  }

  /** The content of one of the constants. */
  Tensor tensor(String name) {
    Tensor tensor = editor.initializer(name);
    if (tensor == null) {
      throw new IllegalStateException(name);
    }
    return tensor;
  }
}
