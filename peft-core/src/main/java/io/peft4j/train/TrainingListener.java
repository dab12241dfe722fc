package io.peft4j.train;

import io.peft4j.task.Metrics;
import org.jspecify.annotations.Nullable;

/** Told of what happens in training, on the thread that trains. */
public interface TrainingListener {
  /** Ignores everything. */
  TrainingListener NONE = new TrainingListener() {};

  /**
   * What one optimiser step did.
   *
   * @param step from 0
   * @param totalSteps in the whole training
   * @param epoch from 0
   * @param loss of the batch
   * @param learningRate that was used
   * @param gradientNorm before clipping
   */
  record Step(
      int step, int totalSteps, int epoch, double loss, double learningRate, double gradientNorm) {}

  /** After each optimiser step. */
  default void onStep(Step step) {}

  /**
   * After each epoch.
   *
   * @param epoch from 0
   * @param meanLoss over the epoch's batches
   * @param validation null if there is no validation set
   */
  default void onEpoch(int epoch, double meanLoss, @Nullable Metrics validation) {}
}
