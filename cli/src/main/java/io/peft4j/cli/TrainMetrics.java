package io.peft4j.cli;

import io.peft4j.graph.Graph;
import io.peft4j.task.Metrics;
import io.peft4j.train.TrainingResult;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What {@code metrics.json} of a training holds.
 *
 * @param bestEpoch the epoch that was kept, from 1
 * @param validation of the epoch that was kept; null without validation data
 * @param test of the model that was kept; null without test data
 */
record TrainMetrics(
    List<EpochMetrics> epochs,
    int bestEpoch,
    @Nullable Metrics validation,
    @Nullable Metrics test,
    int steps,
    long trainableParameters,
    long totalParameters,
    double trainSeconds) {

  /** One epoch: the mean loss of its batches, and the metrics after it. */
  record EpochMetrics(double meanLoss, @Nullable Metrics validation) {}

  static TrainMetrics of(TrainingResult result, @Nullable Metrics test, Graph graph) {
    return new TrainMetrics(
        result.epochs().stream().map(e -> new EpochMetrics(e.meanLoss(), e.validation())).toList(),
        result.bestEpoch() + 1,
        result.validation(),
        test,
        result.steps(),
        graph.trainableCount(),
        graph.parameterCount(),
        result.seconds());
  }

  /** For people. */
  String text() {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < epochs.size(); i++) {
      EpochMetrics epoch = epochs.get(i);
      text.append(String.format(Locale.ROOT, "epoch %d  mean loss %.4f", i + 1, epoch.meanLoss()));
      append(text, "  validation", epoch.validation());
      text.append(i + 1 == bestEpoch ? "  (kept)\n" : "\n");
    }
    if (test != null) {
      text.append("test");
      append(text, "", test);
      text.append('\n');
    }
    text.append(
        String.format(
            Locale.ROOT,
            "%,d of %,d parameters trained in %d steps, %.1f s%n",
            trainableParameters,
            totalParameters,
            steps,
            trainSeconds));
    return text.toString();
  }

  private static void append(StringBuilder text, String what, @Nullable Metrics metrics) {
    if (metrics != null) {
      text.append(
          String.format(
              Locale.ROOT,
              "%s accuracy %.4f  macro F1 %.4f",
              what,
              metrics.accuracy(),
              metrics.macroF1()));
    }
  }
}
