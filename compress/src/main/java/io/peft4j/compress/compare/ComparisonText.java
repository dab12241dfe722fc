package io.peft4j.compress.compare;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** A comparison as a table of plain text. */
final class ComparisonText {
  private static final List<String> HEADER =
      List.of(
          "model",
          "accuracy (95 %)",
          "macro F1",
          "p",
          "agrees",
          "parameters",
          "MB",
          "ms, 1 text p50 / p95",
          "ms, 32 texts p50 / p95",
          "texts/s",
          "peak MB",
          "");

  private ComparisonText() {}

  static String of(ComparisonResult result) {
    List<List<String>> lines = new ArrayList<>();
    lines.add(HEADER);
    result.models().forEach(row -> lines.add(cells(row)));
    int[] widths = new int[HEADER.size()];
    for (List<String> line : lines) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], line.get(i).length());
      }
    }
    StringBuilder text = new StringBuilder();
    for (List<String> line : lines) {
      StringBuilder row = new StringBuilder();
      for (int i = 0; i < widths.length; i++) {
        String format = "%" + (i == 0 ? "-" : "") + Math.max(1, widths[i]) + "s  ";
        row.append(String.format(Locale.ROOT, format, line.get(i)));
      }
      text.append(row.toString().stripTrailing()).append('\n');
    }
    return text.append('\n').append(notes(result)).toString();
  }

  /** One row's cells, as the table shows them. */
  static List<String> cells(ComparisonRow row) {
    return List.of(
        row.name(),
        format(
            "%.2f %% (%.1f-%.1f)",
            100 * row.accuracy(),
            100 * row.accuracyInterval().low(),
            100 * row.accuracyInterval().high()),
        format("%.4f", row.macroF1()),
        row.pValue() == null ? "-" : format("%.3f", row.pValue()),
        format("%.2f %%", 100 * row.agreement()),
        format("%,d", row.parameters()),
        format("%.2f", row.bytes() / 1e6),
        format("%.2f / %.2f", row.latencyMsP50Batch1(), row.latencyMsP95Batch1()),
        format("%.1f / %.1f", row.latencyMsP50Batch32(), row.latencyMsP95Batch32()),
        format("%,.0f", row.throughputPerSecond()),
        megabytes(row.peakMemoryBytes()),
        row.pareto() ? "*" : "");
  }

  static List<String> header() {
    return HEADER;
  }

  private static String megabytes(@Nullable Long bytes) {
    return bytes == null ? "-" : format("%.0f", bytes / 1e6);
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }

  /** How it was measured. */
  static String notes(ComparisonResult result) {
    Long process =
        result.models().stream()
            .map(ComparisonRow::processMemoryBytes)
            .filter(java.util.Objects::nonNull)
            .findFirst()
            .orElse(null);
    return format(
        """
        %d rows of %s. Accuracy with Wilson's interval; p: McNemar's exact test against %s.
        * no other is at least as good in accuracy, median time of one text and bytes, and better in one.
        Times from text to scores, tokenizing included, in ONNX Runtime with %s; %d rounds in turns after a warm-up.
        MB: weights, adapter and tokenizer. Peak MB: %s
        %s
        """,
        result.rows(),
        result.data(),
        result.models().get(0).name(),
        result.threads() == 0 ? "its own choice of threads" : result.threads() + " threads",
        result.rounds(),
        process == null
            ? "not known on this system."
            : format(
                "resident memory (VmHWM) of a process that runs this model alone; %.0f MB of it the"
                    + " JVM's before the model.",
                process / 1e6),
        result.machine());
  }
}
