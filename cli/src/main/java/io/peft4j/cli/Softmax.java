package io.peft4j.cli;

/** Scores as probabilities. */
final class Softmax {
  private Softmax() {}

  /** exp(x_i) / Σ exp(x_j), shifted so that nothing overflows. */
  static double[] of(float[] scores) {
    double largest = Double.NEGATIVE_INFINITY;
    for (float score : scores) {
      largest = Math.max(largest, score);
    }
    double sum = 0;
    double[] result = new double[scores.length];
    for (int i = 0; i < scores.length; i++) {
      result[i] = Math.exp(scores[i] - largest);
      sum += result[i];
    }
    for (int i = 0; i < scores.length; i++) {
      result[i] /= sum;
    }
    return result;
  }
}
