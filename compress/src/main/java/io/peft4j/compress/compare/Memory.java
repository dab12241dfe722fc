package io.peft4j.compress.compare;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * The resident memory of this process, as Linux counts it in {@code /proc/self/status}.
 *
 * @param present bytes at this moment; null where the system does not say
 * @param peak the most bytes so far; null likewise
 */
record Memory(@Nullable Long present, @Nullable Long peak) {
  private static final Path STATUS = Path.of("/proc/self/status");

  static Memory now() {
    Long present = null;
    Long peak = null;
    if (Files.isReadable(STATUS)) {
      try {
        for (String line : Files.readAllLines(STATUS)) {
          if (line.startsWith("VmRSS:")) {
            present = bytes(line);
          } else if (line.startsWith("VmHWM:")) {
            peak = bytes(line);
          }
        }
      } catch (IOException e) {
        return new Memory(null, null); // not measured, and shown so
      }
    }
    return new Memory(present, peak);
  }

  /** Of a line as {@code VmHWM: 81232 kB}. */
  private static long bytes(String line) {
    return 1024 * Long.parseLong(line.replaceAll("\\D", ""));
  }
}
