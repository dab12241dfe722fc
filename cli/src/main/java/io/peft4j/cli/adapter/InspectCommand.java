package io.peft4j.cli.adapter;

import io.peft4j.Checkpoints;
import io.peft4j.cli.Subcommand;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** {@code peft4j adapter inspect}. */
@Command(
    name = "inspect",
    description = "Show what an adapter is, and with MODEL whether it fits and what it changes.")
final class InspectCommand extends Subcommand {
  @Parameters(
      index = "0",
      paramLabel = "DIR",
      description = "The folder that directly holds adapter_config.json.")
  private Path adapter = Path.of("");

  @Parameters(
      index = "1",
      arity = "0..1",
      paramLabel = "MODEL",
      description = "An ONNX file, or a folder with config.json and SafeTensors weights.")
  private @Nullable Path model;

  @Override
  protected void execute() {
    AdapterFiles files = AdapterFiles.read(adapter);
    AdapterReport report =
        model == null ? AdapterReport.of(files) : AdapterReport.on(files, Checkpoints.open(model));
    print(report, report.text());
  }
}
