package io.peft4j.cli.quickstart;

import io.peft4j.data.BatchSource;
import io.peft4j.train.Evaluation;

/**
 * The scores of every test row, [rows][labels], in each of the forms that must agree.
 *
 * @param rows the test rows with their labels
 * @param adapted with the adapter beside the weights
 * @param merged with the adapter in the weights
 * @param exported of the ONNX file, in ONNX Runtime
 */
record TestScores(BatchSource rows, float[][] adapted, float[][] merged, float[][] exported) {

  /** The share of rows whose highest score is that of their label. */
  double accuracy(float[][] scores) {
    return Evaluation.metrics(scores, rows).accuracy();
  }

  /** The largest absolute difference of a score; NaN if one is not a number. */
  static double largestDifference(float[][] left, float[][] right) {
    double worst = 0;
    for (int row = 0; row < left.length; row++) {
      for (int i = 0; i < left[row].length; i++) {
        double difference = Math.abs((double) left[row][i] - right[row][i]);
        if (Double.isNaN(difference)) {
          return Double.NaN;
        }
        worst = Math.max(worst, difference);
      }
    }
    return worst;
  }
}
