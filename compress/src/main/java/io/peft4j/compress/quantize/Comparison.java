package io.peft4j.compress.quantize;

/**
 * A model before and after, on the same rows.
 *
 * @param examples how many rows
 * @param accuracyBefore the share of rows that were classified rightly; NaN without labels
 * @param accuracyAfter likewise
 * @param agreement the share of rows that both give the same class
 * @param maxDifference the largest difference of a score; NaN if one is not a number
 * @param relativeError the root of the mean square of the differences, by that of the scores
 */
public record Comparison(
    int examples,
    double accuracyBefore,
    double accuracyAfter,
    double agreement,
    double maxDifference,
    double relativeError) {

  /**
   * What is lost, in points of accuracy; without labels the points of rows whose class changes,
   * which is the most that accuracy can fall by.
   */
  public double loss() {
    return 100 * (Double.isNaN(accuracyBefore) ? 1 - agreement : accuracyBefore - accuracyAfter);
  }
}
