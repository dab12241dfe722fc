package io.peft4j.train;

import io.peft4j.task.Metrics;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How far a training has come.
 *
 * @param step optimiser steps done
 * @param lossSum over the steps done in the present epoch
 * @param epochs those that are finished
 * @param bestEpoch the number of the most accurate of them, the earliest of equals; of the last one
 *     where nothing is validated
 */
record Progress(int step, double lossSum, List<TrainingResult.Epoch> epochs, int bestEpoch) {
  static final Progress START = new Progress(0, 0, List.of(), 0);

  Progress {
    epochs = List.copyOf(epochs);
  }

  /** After one more step. */
  Progress stepped(double loss) {
    return new Progress(step + 1, lossSum + loss, epochs, bestEpoch);
  }

  /** After the last step of an epoch. */
  Progress finished(double meanLoss, @Nullable Metrics validation) {
    Metrics before = epochs.isEmpty() ? null : epochs.get(bestEpoch).validation();
    boolean better =
        before == null || validation == null || validation.accuracy() > before.accuracy();
    return with(meanLoss, validation, better);
  }

  /** As {@link #finished}, where no epoch before this one counts. */
  Progress restarted(double meanLoss, @Nullable Metrics validation) {
    return with(meanLoss, validation, true);
  }

  private Progress with(double meanLoss, @Nullable Metrics validation, boolean best) {
    List<TrainingResult.Epoch> all = new ArrayList<>(epochs);
    all.add(new TrainingResult.Epoch(meanLoss, validation));
    return new Progress(step, 0, all, best ? epochs.size() : bestEpoch);
  }
}
