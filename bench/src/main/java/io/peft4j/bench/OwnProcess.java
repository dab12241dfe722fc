package io.peft4j.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What Linux notes about this process; {@code bench/peer} reads the same files. */
final class OwnProcess {
  /** The unit of the times in {@code /proc/self/stat}, which Linux fixes for programs. */
  private static final double TICKS_PER_SECOND = 100;

  private OwnProcess() {}

  /** The largest resident set so far, from {@code VmHWM}. */
  static double peakMegabytes() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmHWM:")) {
        return Long.parseLong(line.replaceAll("\\D", "")) / 1e3;
      }
    }
    throw new IOException("/proc/self/status has no VmHWM; the benchmark needs Linux");
  }

  /** What all cores together have worked for this process so far. */
  static long processorNanos() {
    return ProcessHandle.current().info().totalCpuDuration().orElseThrow().toNanos();
  }

  /**
   * From the start of the process until now. {@link ProcessHandle} is off by up to a second: it
   * adds to a time of booting in whole seconds.
   */
  static double secondsSinceStart() {
    try {
      String stat = Files.readString(Path.of("/proc/self/stat"));
      // The second field, a name in brackets, may hold blanks; the start is field 22.
      String start = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1)[19];
      String uptime = Files.readString(Path.of("/proc/uptime")).split(" ", -1)[0];
      return Double.parseDouble(uptime) - Long.parseLong(start) / TICKS_PER_SECOND;
    } catch (IOException e) {
      throw new UncheckedIOException("the benchmark needs Linux", e);
    }
  }
}
