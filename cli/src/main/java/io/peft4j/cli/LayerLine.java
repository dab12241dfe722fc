package io.peft4j.cli;

import java.io.PrintWriter;

/** The layer that is worked on, on one line of a terminal, which is cleared in the end. */
final class LayerLine implements AutoCloseable {
  private static final int WIDTH = 60;

  private final PrintWriter terminal;
  private final boolean shown;

  /**
   * @param shown whether somebody looks on
   */
  LayerLine(PrintWriter terminal, boolean shown) {
    this.terminal = terminal;
    this.shown = shown;
  }

  void show(String layer) {
    if (shown) {
      String end = layer.substring(Math.max(0, layer.length() - WIDTH));
      terminal.printf("\r%-" + WIDTH + "s", end);
      terminal.flush();
    }
  }

  @Override
  public void close() {
    if (shown) {
      terminal.printf("\r%" + WIDTH + "s\r", "");
      terminal.flush();
    }
  }
}
