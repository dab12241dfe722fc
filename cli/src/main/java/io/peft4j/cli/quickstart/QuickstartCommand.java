package io.peft4j.cli.quickstart;

import io.peft4j.cli.Outputs;
import io.peft4j.cli.Subcommand;
import io.peft4j.cli.TrainingProgress;
import io.peft4j.compress.chain.Compaction;
import io.peft4j.train.TrainingListener;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code peft4j quickstart}. */
@Command(
    name = "quickstart",
    description = "Train, merge and export an adapter on an embedded model and embedded data.")
public final class QuickstartCommand extends Subcommand {
  @Option(
      names = "--output",
      paramLabel = "DIR",
      description = "The run folder (default: quickstart).")
  private Path output = Path.of("quickstart");

  @Option(
      names = "--compact",
      description =
          "Also make the model small: pruned, shallower, feed-forward and int8 forms, measured side"
              + " by side.")
  private boolean compact;

  @Override
  protected void execute() {
    Outputs.requireReplaceable(output, List.of("metrics.json", "model.onnx", "adapter"));
    try (TrainingProgress bar = new TrainingProgress(err())) {
      Quickstart job =
          new Quickstart(
              line -> {
                if (!json()) {
                  err().println(line);
                }
              },
              interactive() ? bar : TrainingListener.NONE);
      QuickstartReport report = job.run(output, compact ? Compaction.standard() : null);
      print(report.metrics(), report.table() + "run folder: " + output);
    }
  }
}
