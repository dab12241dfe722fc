package io.peft4j.train;

import io.peft4j.task.Metrics;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a training gave.
 *
 * @param epochs one entry for each epoch
 * @param bestEpoch the epoch whose values were kept, from 0: the most accurate on the validation
 *     set, the earliest of equals; the last one without a validation set
 * @param steps optimiser steps
 * @param seconds from the first batch to the last evaluation
 */
public record TrainingResult(List<Epoch> epochs, int bestEpoch, int steps, double seconds) {
  /**
   * One epoch.
   *
   * @param meanLoss over its batches
   * @param validation null if there was no validation set
   */
  public record Epoch(double meanLoss, @Nullable Metrics validation) {}

  public TrainingResult {
    epochs = List.copyOf(epochs);
  }

  /** The metrics of the epoch that was kept; null without a validation set. */
  public @Nullable Metrics validation() {
    return epochs.get(bestEpoch).validation();
  }
}
