package io.peft4j.compress.quantize;

import io.peft4j.PeftException;
import io.peft4j.adapter.NearestNames;
import io.peft4j.graph.Graph;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Which layers of a graph are quantised.
 *
 * @param layers to quantise
 * @param left why the others are not, by path
 */
record Selection(List<QuantizableLayer> layers, Map<String, String> left) {
  /** Fewer numbers than this are not worth the operators around them. */
  private static final long SMALLEST = 1024;

  /**
   * @throws PeftException if an excluded name matches no layer, or no layer is left
   */
  static Selection of(Graph graph, List<QuantizableLayer> candidates, Collection<String> excluded) {
    for (String name : excluded) {
      if (candidates.stream().noneMatch(layer -> matches(layer.path(), name))) {
        List<String> paths = candidates.stream().map(QuantizableLayer::path).toList();
        throw new PeftException(
            "no layer '%s' to leave out of quantisation; the nearest are %s"
                .formatted(name, NearestNames.of(name, paths)));
      }
    }
    List<QuantizableLayer> chosen = new ArrayList<>();
    Map<String, String> left = new LinkedHashMap<>();
    for (QuantizableLayer layer : candidates) {
      if (excluded.stream().anyMatch(name -> matches(layer.path(), name))) {
        left.put(layer.path(), "excluded");
      } else if (layer.tensor().size() < SMALLEST) {
        left.put(layer.path(), "only %d numbers".formatted(layer.tensor().size()));
      } else {
        chosen.add(layer);
      }
    }
    if (chosen.isEmpty()) {
      throw new PeftException(
          "model '%s' has no layer to quantise: linear layers, convolutions and embeddings with constant float32 weights of at least %d numbers are taken%s"
              .formatted(
                  graph.name(), SMALLEST, left.isEmpty() ? "" : "; " + left.size() + " are left"));
    }
    return new Selection(chosen, left);
  }

  private static boolean matches(String path, String name) {
    return path.equals(name) || path.endsWith("." + name);
  }

  List<String> paths() {
    return layers.stream().map(QuantizableLayer::path).toList();
  }
}
