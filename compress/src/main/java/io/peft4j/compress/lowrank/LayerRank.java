package io.peft4j.compress.lowrank;

import java.util.OptionalDouble;

/**
 * What became of one layer.
 *
 * @param path of the layer
 * @param in inputs
 * @param out outputs
 * @param rank the rank that the rule gives
 * @param split whether two layers of that rank stand in its place; not where they would have as
 *     many parameters as the layer, or where its weight is used elsewhere too
 * @param weightError ‖W − W′‖ / ‖W‖ (Frobenius); 0 where it was left as it is
 * @param outputError ‖X (W − W′)ᵀ‖ / ‖X Wᵀ‖ over the calibration data, X being what the layer is
 *     given in the model before any layer was split; empty without calibration data
 */
public record LayerRank(
    String path,
    long in,
    long out,
    int rank,
    boolean split,
    double weightError,
    OptionalDouble outputError) {

  /** Weights before; the bias is not counted. */
  public long weightsBefore() {
    return in * out;
  }

  /** Weights after; the bias is not counted. */
  public long weightsAfter() {
    return split ? rank * (in + out) : in * out;
  }
}
