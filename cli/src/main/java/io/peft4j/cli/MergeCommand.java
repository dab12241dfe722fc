package io.peft4j.cli;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.MergedModel;
import io.peft4j.format.Formats;
import java.nio.file.Path;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code peft4j merge}. */
@Command(
    name = "merge",
    description = "Fold an adapter into its model, check the outputs, and write the result.")
final class MergeCommand extends Subcommand {
  @Parameters(
      paramLabel = "MODEL",
      description = "An ONNX file, or a folder with config.json and SafeTensors weights.")
  private Path model = Path.of("");

  @Option(names = "--adapter", required = true, paramLabel = "DIR")
  private Path adapter = Path.of("");

  @Option(
      names = "--output",
      required = true,
      paramLabel = "OUT",
      description = "Written in MODEL's own format, its tokenizer.json with it.")
  private Path output = Path.of("");

  @Option(
      names = "--tolerance",
      converter = NumberArguments.Tolerance.class,
      description =
          "The largest output difference to accept (default: 1e-4, 2e-2 for 16-bit weights).")
  private @Nullable Double tolerance;

  @Option(names = "--overwrite", description = "Replace a model that is at OUT already.")
  private boolean overwrite;

  /** What is printed. */
  record Result(String output, double maxOutputDifference) {}

  @Override
  protected void execute() {
    AdaptedModel adapted = Checkpoints.open(model).load(adapter);
    Outputs.requireModelTarget(output, overwrite, model, adapter);
    MergedModel merged = tolerance == null ? adapted.merge() : adapted.merge(tolerance);
    Formats.modelNamed(adapted.base().checkpoint().format())
        .write(merged.model().checkpoint(), merged.model().graph(), output);
    Outputs.tokenizerBeside(output, model);
    print(
        new Result(output.toString(), merged.maxOutputDifference()),
        String.format(
            Locale.ROOT,
            "%s written; largest output difference to the adapted model %.1e",
            output,
            merged.maxOutputDifference()));
  }
}
