package io.peft4j.compress.sparse;

import java.util.OptionalDouble;

/**
 * What became of one weight.
 *
 * @param path of the layer
 * @param weights how many numbers it holds
 * @param zeros how many of them are zero
 * @param outputError ‖X (W − W′)ᵀ‖ / ‖X Wᵀ‖ over the calibration data, X being what the layer is
 *     given in the model as it was up to it; empty without calibration data
 */
public record LayerSparsity(String path, long weights, long zeros, OptionalDouble outputError) {
  /** The share of zeros. */
  public double sparsity() {
    return (double) zeros / weights;
  }
}
