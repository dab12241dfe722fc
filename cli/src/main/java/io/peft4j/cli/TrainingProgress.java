package io.peft4j.cli;

import io.peft4j.train.TrainingListener;
import java.io.PrintWriter;
import java.util.Locale;

/**
 * A progress bar on a terminal, written over itself. Close it when the training has ended, so that
 * what follows an unfinished bar stands on a line of its own.
 */
public final class TrainingProgress implements TrainingListener, AutoCloseable {
  private static final int WIDTH = 30;

  private final PrintWriter terminal;
  private boolean midLine;

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
    midLine = done < step.totalSteps();
    if (!midLine) {
      terminal.println();
    }
    terminal.flush();
  }

  @Override
  public void close() {
    if (midLine) {
      terminal.println();
      midLine = false;
    }
  }
}
