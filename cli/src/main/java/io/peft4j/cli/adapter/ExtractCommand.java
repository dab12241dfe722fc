package io.peft4j.cli.adapter;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapters.extract.LoraExtraction;
import io.peft4j.adapters.extract.LoraExtraction.Extracted;
import io.peft4j.adapters.extract.LoraExtraction.ModuleError;
import io.peft4j.cli.Outputs;
import io.peft4j.cli.Subcommand;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code peft4j adapter extract}. */
@Command(
    name = "extract",
    description =
        "Make LoRA of an adapter that can be merged, or of the difference of two checkpoints; the"
            + " error is told.")
final class ExtractCommand extends Subcommand {
  @Parameters(
      index = "0",
      paramLabel = "BASE",
      description = "An ONNX file, or a folder with config.json and SafeTensors weights.")
  private Path base = Path.of("");

  @Parameters(
      index = "1",
      arity = "0..1",
      paramLabel = "FINETUNED",
      description = "The same model with other weights.")
  private @Nullable Path finetuned;

  @Option(
      names = "--adapter",
      paramLabel = "DIR",
      description = "In place of FINETUNED: an adapter of BASE, of any method that can be merged.")
  private @Nullable Path adapter;

  @Option(names = "--rank", description = "Of every module.")
  private @Nullable Integer rank;

  @Option(
      names = "--energy",
      description =
          "In place of --rank: the share of the sum of squared singular values that each module"
              + " keeps (default: 0.99).")
  private @Nullable Double energy;

  @Option(names = "--output", required = true, paramLabel = "DIR")
  private Path output = Path.of("");

  @Option(names = "--overwrite", description = "Replace an adapter that is at DIR already.")
  private boolean overwrite;

  /**
   * What is printed.
   *
   * @param error relative Frobenius error over all modules
   * @param whole modules that are kept whole
   */
  record Result(String output, double error, List<ModuleError> modules, List<String> whole) {}

  @Override
  protected void execute() {
    LoraExtraction extraction = extraction();
    Extracted extracted = extracted(extraction);
    AdaptedModel model = extracted.model();
    List<Path> sources = new ArrayList<>(List.of(base));
    Path other = adapter == null ? finetuned : adapter;
    if (other != null) {
      sources.add(other);
      Path name = other.toAbsolutePath().normalize().getFileName();
      model.note("extractedFrom", String.valueOf(name));
    }
    model.note("extractionError", Double.toString(extracted.error()));
    Outputs.requireAdapterTarget(output, overwrite, sources);
    model.save(output);
    print(
        new Result(output.toString(), extracted.error(), extracted.modules(), extracted.whole()),
        text(extracted));
  }

  private LoraExtraction extraction() {
    if ((finetuned == null) == (adapter == null)) {
      throw wrongUsage("give either FINETUNED or --adapter");
    }
    Double share = rank == null && energy == null ? Double.valueOf(0.99) : energy;
    try {
      return new LoraExtraction(rank, share);
    } catch (RecipeException e) {
      throw wrongUsage("--" + e.getMessage());
    }
  }

  private Extracted extracted(LoraExtraction extraction) {
    PretrainedModel model = Checkpoints.open(base);
    Path dir = adapter;
    Path changed = finetuned;
    if (dir != null) {
      return extraction.of(model.load(dir));
    }
    if (changed == null) {
      throw wrongUsage("give either FINETUNED or --adapter");
    }
    return extraction.of(model, Checkpoints.open(changed));
  }

  private String text(Extracted extracted) {
    StringBuilder text = new StringBuilder();
    for (ModuleError module : extracted.modules()) {
      text.append(
          String.format(
              Locale.ROOT,
              "%-56s rank %4d  norm %10.4g  error %.2e%n",
              module.path(),
              module.rank(),
              module.norm(),
              module.error()));
    }
    extracted.whole().forEach(path -> text.append("%-56s kept whole%n".formatted(path)));
    return text.append(
            String.format(
                Locale.ROOT, "%s written; relative error %.2e", output, extracted.error()))
        .toString();
  }
}
