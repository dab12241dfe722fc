package io.peft4j.compress.quantize;

import io.peft4j.graph.Graph;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/**
 * What quantising one layer does to a model.
 *
 * @param layer its path
 * @param weights how many numbers its weight holds
 * @param comparison of the model with this layer alone quantised and as it was, or of the model
 *     with all layers but this one quantised and as it was
 */
public record Sensitivity(String layer, long weights, Comparison comparison) {

  /** What is quantised while a layer is looked at. */
  public enum Probe {
    /** This layer alone. */
    ALONE,
    /** Every layer but this one. */
    ALL_BUT
  }

  /**
   * Tries each layer that a way of quantising takes.
   *
   * @param progress told the path of each layer before it is tried
   * @return the layers whose quantising costs most first
   */
  public static List<Sensitivity> of(
      Quantization way, Graph graph, Yardstick yardstick, Probe probe, Consumer<String> progress) {
    List<String> quantized = Selection.of(graph, way.layers(graph), way.excluded()).paths();
    List<Sensitivity> found = new ArrayList<>();
    for (QuantizableLayer layer : way.layers(graph)) {
      if (!quantized.contains(layer.path())) {
        continue;
      }
      progress.accept(layer.path());
      Set<String> left = new HashSet<>(way.excluded());
      if (probe == Probe.ALONE) {
        left.addAll(quantized);
        left.remove(layer.path());
      } else {
        left.add(layer.path());
      }
      Graph tried = way.excluding(left).apply(graph).graph();
      found.add(new Sensitivity(layer.path(), layer.tensor().size(), yardstick.compare(tried)));
    }
    Comparator<Sensitivity> byError =
        Comparator.comparingDouble(s -> s.comparison().relativeError());
    return found.stream().sorted(probe == Probe.ALONE ? byError.reversed() : byError).toList();
  }
}
