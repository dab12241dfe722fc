package io.peft4j.compress.compare;

import com.google.common.primitives.Doubles;
import java.util.ArrayList;
import java.util.List;

/** What was seen of one candidate so far. */
final class Measured {
  private final PreparedModel model;
  private final float[][] scores;
  private final List<Double> single = new ArrayList<>();
  private final List<Double> batch = new ArrayList<>();
  private final List<Double> perSecond = new ArrayList<>();
  private Memory before = new Memory(null, null);
  private Memory after = new Memory(null, null);

  /**
   * @param scores [rows][labels], the labels in the model's order
   */
  Measured(PreparedModel model, float[][] scores) {
    this.model = model;
    this.scores = scores;
  }

  /**
   * Adds a round.
   *
   * @param singleMs the milliseconds of each call with one text
   * @param batchMs of each call with {@link Comparison#BATCH}
   */
  void round(double[] singleMs, double[] batchMs) {
    single.addAll(Doubles.asList(singleMs));
    batch.addAll(Doubles.asList(batchMs));
    double seconds = java.util.Arrays.stream(batchMs).sum() / 1e3;
    perSecond.add(batchMs.length * Comparison.BATCH / seconds);
  }

  void memory(Memory beforeOpening, Memory atTheEnd) {
    before = beforeOpening;
    after = atTheEnd;
  }

  PreparedModel model() {
    return model;
  }

  float[][] scores() {
    return scores;
  }

  Memory before() {
    return before;
  }

  Memory after() {
    return after;
  }

  double singleMs(double share) {
    return Confidence.quantile(Doubles.toArray(single), share);
  }

  double batchMs(double share) {
    return Confidence.quantile(Doubles.toArray(batch), share);
  }

  double textsPerSecond() {
    return Confidence.quantile(Doubles.toArray(perSecond), 0.5);
  }
}
