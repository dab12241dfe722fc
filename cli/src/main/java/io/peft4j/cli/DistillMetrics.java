package io.peft4j.cli;

import io.peft4j.task.Metrics;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What {@code metrics.json} of a distillation holds.
 *
 * @param teacher and student: what they reach and need
 * @param agreement the share of test rows that both give the same class; null without test data
 * @param keptAccuracy the student's accuracy on the test data over the teacher's; null without
 * @param latencyRatio the student's median latency over the teacher's, tokenizing left out
 * @param throughputRatio texts a second of the student over the teacher's, tokenizing included
 * @param texts how many texts the student learned from, further ones included
 * @param bestEpoch the epoch that was kept, from 1
 * @param trainSeconds of the student's training alone
 * @param totalSeconds with the teacher's answers and all measuring
 */
record DistillMetrics(
    Side teacher,
    Side student,
    @Nullable Double agreement,
    @Nullable Double keptAccuracy,
    double latencyRatio,
    double throughputRatio,
    int texts,
    List<TrainMetrics.EpochMetrics> epochs,
    int bestEpoch,
    double exportMaxOutputDifference,
    double trainSeconds,
    double totalSeconds) {

  /**
   * One of the two models.
   *
   * @param test null without test data
   * @param bytes of its ONNX file; of its weights for a teacher that is none
   */
  record Side(@Nullable Metrics test, long parameters, long bytes, ServingSpeed speed) {}

  /** For people. */
  String text() {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < epochs.size(); i++) {
      TrainMetrics.EpochMetrics epoch = epochs.get(i);
      text.append(String.format(Locale.ROOT, "epoch %d  mean loss %.4f", i + 1, epoch.meanLoss()));
      Metrics validation = epoch.validation();
      if (validation != null) {
        text.append(
            String.format(Locale.ROOT, "  validation accuracy %.4f", validation.accuracy()));
      }
      text.append(i + 1 == bestEpoch ? "  (kept)\n" : "\n");
    }
    text.append(String.format(Locale.ROOT, "%n%-34s%14s%14s%n", "", "teacher", "student"));
    if (teacher.test() != null && student.test() != null) {
      line(text, "test accuracy", "%.4f", teacher.test().accuracy(), student.test().accuracy());
      line(text, "test macro F1", "%.4f", teacher.test().macroF1(), student.test().macroF1());
    }
    line(text, "parameters", "%,d", teacher.parameters(), student.parameters());
    line(text, "bytes", "%,d", teacher.bytes(), student.bytes());
    line(
        text,
        "latency of one text, ms",
        "%.3f",
        teacher.speed().latencyMs(),
        student.speed().latencyMs());
    line(
        text,
        "  with tokenizing",
        "%.3f",
        teacher.speed().latencyMsWithTokenizing(),
        student.speed().latencyMsWithTokenizing());
    line(
        text,
        "texts a second, batches of 32",
        "%,.0f",
        teacher.speed().textsPerSecond(),
        student.speed().textsPerSecond());
    line(
        text,
        "  with tokenizing",
        "%,.0f",
        teacher.speed().textsPerSecondWithTokenizing(),
        student.speed().textsPerSecondWithTokenizing());
    if (agreement != null && keptAccuracy != null) {
      text.append(
          String.format(
              Locale.ROOT,
              "%nthe student keeps %.1f %% of the teacher's accuracy and agrees with it on %.1f %%"
                  + " of the rows%n",
              100 * keptAccuracy,
              100 * agreement));
    }
    text.append(
        String.format(
            Locale.ROOT,
            "learned from %,d texts in %.1f s (%.1f s in all)%n",
            texts,
            trainSeconds,
            totalSeconds));
    return text.toString();
  }

  private static void line(
      StringBuilder text, String what, String format, Number teacher, Number student) {
    text.append(
        String.format(
            Locale.ROOT,
            "%-34s%14s%14s%n",
            what,
            String.format(Locale.ROOT, format, teacher),
            String.format(Locale.ROOT, format, student)));
  }
}
