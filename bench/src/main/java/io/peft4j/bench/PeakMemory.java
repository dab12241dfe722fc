package io.peft4j.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The most memory that this process has had in use. */
final class PeakMemory {
  private PeakMemory() {}

  /** Resident set, from Linux's {@code VmHWM}. */
  static double megabytes() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmHWM:")) {
        return Long.parseLong(line.replaceAll("\\D", "")) / 1e3;
      }
    }
    throw new IOException("/proc/self/status has no VmHWM; the benchmark needs Linux");
  }
}
