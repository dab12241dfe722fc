package io.peft4j.cli;

import io.peft4j.compress.prune.ModelSize;
import io.peft4j.compress.prune.PrunedModel;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What pruning did.
 *
 * @param before the model that was given
 * @param after the pruned one
 * @param blocks what each block had and has
 * @param rows the data file that accuracies are of; null if there are none
 * @param maskedDifference between cutting and masking
 * @param exportDifference between ONNX Runtime and the training engine
 */
record PruneReport(
    String output,
    State before,
    State after,
    List<PrunedModel.Kept> blocks,
    @Nullable String rows,
    double maskedDifference,
    double exportDifference) {

  /**
   * A model.
   *
   * @param accuracy null where there is no labelled data
   */
  record State(long parameters, long flops, long bytes, @Nullable Double accuracy) {
    static State of(ModelSize size, @Nullable Double accuracy) {
      return new State(size.parameters(), size.flops(), size.bytes(), accuracy);
    }
  }

  /** For people. */
  String text() {
    List<String> lines = new ArrayList<>();
    lines.add(String.format(Locale.ROOT, "%-12s %15s %15s %8s", "", "before", "after", "change"));
    lines.add(row("parameters", before.parameters(), after.parameters()));
    lines.add(row("FLOPs a row", before.flops(), after.flops()));
    lines.add(row("bytes", before.bytes(), after.bytes()));
    Double first = before.accuracy();
    Double last = after.accuracy();
    if (first != null && last != null) {
      lines.add(
          String.format(
              Locale.ROOT,
              "%-12s %15.4f %15.4f %+8.4f  on %s",
              "accuracy",
              first,
              last,
              last - first,
              rows));
    }
    lines.add("");
    for (PrunedModel.Kept block : blocks) {
      lines.add(
          String.format(
              Locale.ROOT,
              "%-10s %6d of %6d  %s",
              block.structure().label(),
              block.after(),
              block.before(),
              block.path()));
    }
    lines.add("");
    lines.add(
        String.format(
            Locale.ROOT,
            "%s written; largest output difference to the masked model %.1e, in ONNX Runtime %.1e",
            output,
            maskedDifference,
            exportDifference));
    return String.join("\n", lines);
  }

  private static String row(String name, long before, long after) {
    return String.format(
        Locale.ROOT,
        "%-12s %,15d %,15d %+7.1f%%",
        name,
        before,
        after,
        100.0 * (after - before) / before);
  }
}
