package io.peft4j.compress.quantize;

import io.peft4j.graph.Graph;
import java.util.Collection;
import java.util.List;
import java.util.Set;

/** A way to hold a model's layers in fewer bits. */
public sealed interface Quantization permits DynamicInt8, StaticInt8, WeightOnly {
  /** The key of a graph's metadata that says how it was quantised, as a JSON object. */
  String METADATA_KEY = "peft4j.quantization";

  /** Layers that stay as they are, by module path or by the last parts of it. */
  Set<String> excluded();

  /** The same way with these layers left as they are, and no others. */
  Quantization excluding(Collection<String> layers);

  /** The layers of a graph that this way can take, whatever is excluded. */
  default List<QuantizableLayer> layers(Graph graph) {
    return QuantizableLayer.of(graph);
  }

  /**
   * The graph with its layers quantised. Inputs and outputs stay.
   *
   * @throws io.peft4j.PeftException if an excluded name matches no layer, or nothing can be
   *     quantised
   */
  QuantizedModel apply(Graph graph);
}
