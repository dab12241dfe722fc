package io.peft4j.cli;

import io.peft4j.train.TrainingListener;
import java.io.PrintWriter;
import java.util.Locale;

/** A progress bar on a terminal, written over itself. */
public final class TrainingProgress implements TrainingListener {
  private static final int WIDTH = 30;

  private final PrintWriter terminal;

  /**
   * @param terminal where the bar is drawn
   */
  public TrainingProgress(PrintWriter terminal) {
    this.terminal = terminal;
  }

  @Override
  public void onStep(Step step) {
    int done = step.step() + 1;
    int filled = WIDTH * done / step.totalSteps();
    terminal.printf(
        Locale.ROOT,
        "\r[%s%s] step %d/%d  epoch %d  loss %.4f  lr %.1e ",
        "#".repeat(filled),
        "-".repeat(WIDTH - filled),
        done,
        step.totalSteps(),
        step.epoch() + 1,
        step.loss(),
        step.learningRate());
    if (done == step.totalSteps()) {
      terminal.println();
    }
    terminal.flush();
  }
}
