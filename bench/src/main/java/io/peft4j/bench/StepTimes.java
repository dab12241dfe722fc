package io.peft4j.bench;

import com.google.common.math.Quantiles;
import io.peft4j.train.TrainingListener;
import java.util.ArrayList;
import java.util.List;

/** Notes when steps of a training end. */
final class StepTimes implements TrainingListener {
  private final int warmUp;
  private final List<Long> ends = new ArrayList<>();
  private final List<Long> processorEnds = new ArrayList<>();
  private double startup;

  /**
   * @param warmUp how many steps are not timed
   */
  StepTimes(int warmUp) {
    this.warmUp = warmUp;
  }

  @Override
  public void onStep(Step step) {
    if (ends.isEmpty()) {
      startup = OwnProcess.secondsSinceStart();
    }
    ends.add(System.nanoTime());
    processorEnds.add(OwnProcess.processorNanos());
  }

  /** From the start of the process to the end of the first step. */
  double startupSeconds() {
    return startup;
  }

  /** The median duration of the timed steps. */
  double medianMillis() {
    List<Double> millis = new ArrayList<>();
    for (int i = warmUp; i < ends.size(); i++) {
      millis.add((ends.get(i) - ends.get(i - 1)) / 1e6);
    }
    return Quantiles.median().compute(millis);
  }

  /** The mean time that all cores together worked for a timed step. */
  double meanProcessorMillis() {
    long work = processorEnds.get(processorEnds.size() - 1) - processorEnds.get(warmUp - 1);
    return work / 1e6 / (processorEnds.size() - warmUp);
  }
}
