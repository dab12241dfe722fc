package io.peft4j.adapters.lora;

import io.peft4j.PeftException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Spends the parameters that layers of given ranks have where they lower the loss most: one rank
 * for each layer, then direction by direction, the one with the largest σ² for a parameter first.
 */
final class GradientRanks {
  /** By how much a layer's rank may grow. */
  private static final int MOST = 2;

  /**
   * A layer.
   *
   * @param rank that it has before
   * @param cost parameters of one rank: in + out
   * @param singular values of the gradient of its weight, falling
   */
  record Layer(String path, int rank, int cost, double[] singular) {}

  private record Direction(String path, int cost, double gain) {}

  private GradientRanks() {}

  /**
   * @return ranks by path
   * @throws PeftException if no layer has a gradient
   */
  static Map<String, Integer> of(List<Layer> layers) {
    if (layers.stream().allMatch(layer -> layer.singular()[0] == 0)) {
      throw new PeftException(
          "rank_allocation gradient finds no gradient at any of the %d target layers, so it has nothing to go by; leave it out"
              .formatted(layers.size()));
    }
    Map<String, Integer> ranks = new LinkedHashMap<>();
    List<Direction> directions = new ArrayList<>();
    long budget = 0;
    for (Layer layer : layers) {
      ranks.put(layer.path(), 1);
      budget += (long) (layer.rank() - 1) * layer.cost();
      double[] singular = layer.singular();
      for (int i = 1; i < Math.min(MOST * layer.rank(), singular.length); i++) {
        double gain = singular[i] * singular[i] / layer.cost();
        directions.add(new Direction(layer.path(), layer.cost(), gain));
      }
    }
    directions.sort(Comparator.comparingDouble(Direction::gain).reversed()); // stable: in order
    for (Direction direction : directions) {
      if (direction.cost() <= budget) {
        budget -= direction.cost();
        ranks.merge(direction.path(), 1, Integer::sum);
      }
    }
    return ranks;
  }
}
