package io.peft4j.compress.calibrate;

import io.peft4j.math.Matrix;

/**
 * Second moments of what a layer is given.
 *
 * @param products Xᵀ X of all inputs X [rows, in], a symmetric matrix [in, in]
 * @param rows how many inputs there were; what padding gives does not count
 */
public record InputMoments(Matrix products, long rows) {
  /** The moments of both together. */
  public InputMoments plus(InputMoments other) {
    return new InputMoments(products.plus(other.products), rows + other.rows);
  }

  /** The Euclidean length of each feature over all inputs, [in]. */
  public double[] lengths() {
    double[] lengths = products.diagonal();
    for (int i = 0; i < lengths.length; i++) {
      lengths[i] = Math.sqrt(lengths[i]);
    }
    return lengths;
  }

  /**
   * ‖X Aᵀ‖, the Frobenius norm of what a weight makes of the inputs.
   *
   * @param weight A, [out, in]
   */
  public double outputNorm(Matrix weight) {
    double[] left = weight.times(products).values();
    double[] right = weight.values();
    double sum = 0;
    for (int i = 0; i < left.length; i++) {
      sum += left[i] * right[i];
    }
    return Math.sqrt(Math.max(0, sum)); // a sum of squares but for rounding
  }

  /** ‖X (A − B)ᵀ‖ / ‖X Aᵀ‖; 0 where the layer gives nothing with either. */
  public double outputError(Matrix weight, Matrix instead) {
    double error = outputNorm(weight.minus(instead));
    return error == 0 ? 0 : error / outputNorm(weight);
  }
}
