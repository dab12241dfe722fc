package io.peft4j.cli.quickstart;

import io.peft4j.compress.chain.CompactResult;
import io.peft4j.graph.Graph;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The result of a quickstart.
 *
 * @param metrics for scripts
 * @param adaptedToExported the largest logit difference between the adapted model and the file
 * @param adapterBytes of all files of the adapter
 * @param modelBytes of the ONNX file
 * @param compact the small forms; null where none were asked for
 */
record QuickstartReport(
    QuickstartMetrics metrics,
    double adaptedToExported,
    long adapterBytes,
    long modelBytes,
    @Nullable CompactResult compact) {

  /**
   * @param baseline accuracy without an adapter
   * @param startNanos when the job began, by {@link System#nanoTime}
   * @param folder the run folder, with adapter and model written
   */
  static QuickstartReport of(
      double baseline,
      TestScores scores,
      Graph graph,
      double trainSeconds,
      long startNanos,
      Path folder,
      @Nullable CompactResult compact)
      throws IOException {
    return new QuickstartReport(
        new QuickstartMetrics(
            baseline,
            scores.accuracy(scores.adapted()),
            scores.accuracy(scores.merged()),
            scores.accuracy(scores.exported()),
            TestScores.largestDifference(scores.adapted(), scores.merged()),
            TestScores.largestDifference(scores.merged(), scores.exported()),
            graph.trainableCount(),
            graph.parameterCount(),
            trainSeconds,
            (System.nanoTime() - startNanos) / 1e9),
        TestScores.largestDifference(scores.adapted(), scores.exported()),
        bytes(folder.resolve("adapter")),
        Files.size(folder.resolve("model.onnx")),
        compact);
  }

  private static long bytes(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.filter(Files::isRegularFile).mapToLong(QuickstartReport::size).sum();
    }
  }

  private static long size(Path file) {
    try {
      return Files.size(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The table that people read. */
  String table() {
    QuickstartMetrics m = metrics;
    return String.format(
            Locale.ROOT,
            """
            test accuracy
              frozen encoder, linear classifier    %6.2f %%
              adapted (LoRA beside the weights)    %6.2f %%
              merged (LoRA in the weights)         %6.2f %%
              exported (model.onnx, ONNX Runtime)  %6.2f %%
            largest logit difference
              adapted to merged                    %8.1e
              merged to exported                   %8.1e
              adapted to exported                  %8.1e
            parameters
              trainable                            %,10d (%.2f %%)
              total                                %,10d
            seconds
              training                             %10.1f
              all                                  %10.1f
            file sizes
              adapter                              %10.1f KB
              model.onnx                           %10.1f MB
            """,
            100 * m.baselineAccuracy(),
            100 * m.adaptedAccuracy(),
            100 * m.mergedAccuracy(),
            100 * m.exportedAccuracy(),
            m.mergeMaxLogitDifference(),
            m.exportMaxLogitDifference(),
            adaptedToExported,
            m.trainableParameters(),
            100.0 * m.trainableParameters() / m.totalParameters(),
            m.totalParameters(),
            m.trainSeconds(),
            m.totalSeconds(),
            adapterBytes / 1e3,
            modelBytes / 1e6)
        + (compact == null ? "" : "\n" + compact.text());
  }
}
