package io.peft4j.adapters.bottleneck;

import io.peft4j.RecipeException;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * How much narrower than the residual stream a bottleneck is: hidden size / factor, rounded down,
 * at least 1.
 *
 * @param usual the factor of all layers that have none of their own; null if each has one
 * @param layers factors of single layers, by number
 */
public record Reduction(@Nullable Double usual, Map<Integer, Double> layers) {
  public Reduction {
    layers = Collections.unmodifiableMap(new TreeMap<>(layers));
    if (usual != null) {
      check(usual);
    }
    layers.values().forEach(Reduction::check);
    if (usual == null && layers.isEmpty()) {
      throw new RecipeException("reduction_factor is empty; give one factor, or one a layer");
    }
  }

  private static void check(double factor) {
    if (!(factor > 0) || Double.isInfinite(factor)) {
      throw new RecipeException("reduction_factor must be a positive number, was " + factor);
    }
  }

  /** One factor for all layers. */
  public static Reduction of(double factor) {
    return new Reduction(factor, Map.of());
  }

  /** The width of the bottleneck in a layer. */
  int width(int hidden, int layer) {
    Double factor = layers.getOrDefault(layer, usual);
    if (factor == null) {
      throw new RecipeException(
          "reduction_factor names layers, but not layer %d; add it, or a default".formatted(layer));
    }
    return Math.max(1, (int) Math.floor(hidden / factor));
  }
}
