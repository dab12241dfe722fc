package io.peft4j.cli.quickstart;

import io.peft4j.cli.Outputs;
import io.peft4j.cli.Subcommand;
import io.peft4j.cli.TrainingProgress;
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
      QuickstartReport report = job.run(output);
      print(report.metrics(), report.table() + "run folder: " + output);
    }
  }
}
