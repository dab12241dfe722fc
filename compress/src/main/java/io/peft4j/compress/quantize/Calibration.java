package io.peft4j.compress.quantize;

import io.peft4j.PeftException;
import io.peft4j.data.BatchSource;
import io.peft4j.graph.Graph;
import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;

/**
 * How ranges of values are found on a user's rows.
 *
 * @param method what decides
 * @param percentile for {@link Method#PERCENTILE}: the share of numbers, in percent, that a range
 *     holds; what is cut off is halved between the ends
 */
public record Calibration(Method method, double percentile) {
  private static final int BINS = 2048;

  /** What decides about a range. */
  public enum Method {
    /** Everything that occurs is held. */
    MINMAX,
    /** A given share of the numbers is held. */
    PERCENTILE,
    /** The range whose rounded numbers have the least divergence from the true ones (TensorRT). */
    ENTROPY,
    /** The range with the least mean square of what rounding and cutting off change. */
    MSE
  }

  public Calibration {
    if (!(percentile > 50 && percentile <= 100)) {
      throw new PeftException("the percentile must be above 50 and at most 100, was " + percentile);
    }
  }

  public static Calibration of(Method method) {
    return new Calibration(method, 99.99);
  }

  /**
   * The range of each value.
   *
   * @param values names of float32 values of the graph
   * @throws PeftException if a value is not finite
   */
  public Map<String, ActivationRange> ranges(
      Graph graph, Collection<String> values, BatchSource rows) {
    try (Activations activations = new Activations(graph, values, rows)) {
      Map<String, Extent> extents = activations.extents();
      Map<String, long[]> counts =
          method == Method.MINMAX ? Map.of() : activations.histograms(extents, BINS);
      Map<String, ActivationRange> ranges = new TreeMap<>();
      extents.forEach(
          (name, extent) ->
              ranges.put(
                  name,
                  switch (method) {
                    case MINMAX -> ActivationRange.of(extent.low(), extent.high());
                    case PERCENTILE -> histogram(extent, counts, name).percentile(percentile);
                    case ENTROPY -> histogram(extent, counts, name).leastDivergence();
                    case MSE -> histogram(extent, counts, name).leastSquares();
                  }));
      return ranges;
    }
  }

  private static Histogram histogram(Extent extent, Map<String, long[]> counts, String name) {
    return new Histogram(extent.low(), extent.high(), counts.getOrDefault(name, new long[1]));
  }
}
