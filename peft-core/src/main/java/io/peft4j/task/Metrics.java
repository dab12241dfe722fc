package io.peft4j.task;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * How well classes were predicted.
 *
 * @param examples how many were judged
 * @param accuracy the share that was right
 * @param macroF1 the mean of F1 over the classes that occur among labels or predictions
 */
public record Metrics(int examples, double accuracy, double macroF1) {

  /** Compares predictions with labels, both numbers of classes. */
  public static Metrics of(long[] predictions, long[] labels, int classes) {
    checkArgument(
        predictions.length == labels.length && labels.length > 0,
        "%s predictions for %s labels",
        predictions.length,
        labels.length);
    int[] right = new int[classes];
    int[] predicted = new int[classes];
    int[] actual = new int[classes];
    int hits = 0;
    for (int i = 0; i < labels.length; i++) {
      predicted[(int) predictions[i]]++;
      actual[(int) labels[i]]++;
      if (predictions[i] == labels[i]) {
        right[(int) labels[i]]++;
        hits++;
      }
    }
    double sum = 0;
    int occurring = 0;
    for (int c = 0; c < classes; c++) {
      if (predicted[c] + actual[c] > 0) {
        occurring++;
        sum += 2.0 * right[c] / (predicted[c] + actual[c]);
      }
    }
    return new Metrics(labels.length, hits / (double) labels.length, sum / occurring);
  }
}
