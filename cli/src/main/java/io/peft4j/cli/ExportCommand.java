package io.peft4j.cli;

import io.peft4j.AdaptedModel;
import io.peft4j.PretrainedModel;
import io.peft4j.compress.export.VerifiedExport;
import io.peft4j.engine.OutputDifference;
import io.peft4j.format.Formats;
import java.nio.file.Path;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code peft4j export}. */
@Command(
    name = "export",
    description = "Write a model, its adapter merged, as ONNX or as a SafeTensors folder.")
final class ExportCommand extends Subcommand {
  @Mixin private ModelArguments model = new ModelArguments();

  /** What can be written. */
  enum Format {
    ONNX,
    SAFETENSORS;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Option(names = "--format", required = true, description = "${COMPLETION-CANDIDATES}.")
  private Format format = Format.ONNX;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "OUT",
      description = "Where it is written, MODEL's tokenizer.json with it.")
  private Path output = Path.of("");

  @Option(
      names = "--tolerance",
      converter = NumberArguments.Tolerance.class,
      description =
          "For ONNX: the largest output difference to accept (default: 1e-4, 2e-2 for 16-bit"
              + " weights).")
  private @Nullable Double tolerance;

  @Option(names = "--overwrite", description = "Replace a model that is at OUT already.")
  private boolean overwrite;

  /** What is printed; the difference is 0 for SafeTensors, which keep every bit. */
  record Result(String output, double maxOutputDifference) {}

  @Override
  protected void execute() {
    ModelArguments.Opened opened = model.open();
    Outputs.requireModelTarget(output, overwrite, model.path(), model.adapter());
    AdaptedModel adapted = opened.adapted();
    PretrainedModel plain = adapted == null ? opened.base() : adapted.merge().model();
    double difference = 0;
    if (format == Format.ONNX) {
      double accepted = tolerance == null ? OutputDifference.tolerance(plain.graph()) : tolerance;
      boolean asItWas = adapted == null && plain.checkpoint().format().equals("onnx");
      difference =
          asItWas
              ? VerifiedExport.rewritten(plain, output, accepted)
              : VerifiedExport.onnx(plain, output, accepted);
      Outputs.tokenizerBeside(output, model.path());
    } else {
      Formats.modelNamed("safetensors").write(plain.checkpoint(), plain.graph(), output);
    }
    print(
        new Result(output.toString(), difference),
        format == Format.ONNX
            ? String.format(
                Locale.ROOT,
                "%s written; largest output difference in ONNX Runtime %.1e",
                output,
                difference)
            : output + " written");
  }
}
