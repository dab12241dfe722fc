package io.peft4j.compress.quantize;

import io.peft4j.graph.Graph;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A quantised graph.
 *
 * @param graph in standard operators
 * @param quantized paths of the layers that were, in the graph's order
 * @param left why the others were not, by path
 */
public record QuantizedModel(Graph graph, List<String> quantized, Map<String, String> left) {
  public QuantizedModel {
    quantized = List.copyOf(quantized);
    left = Collections.unmodifiableMap(new LinkedHashMap<>(left));
  }
}
