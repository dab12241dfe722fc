package io.peft4j.cli;

import io.peft4j.RecipeException;
import io.peft4j.compress.prune.Importance;
import io.peft4j.train.TrainingListener;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code peft4j prune}. */
@Command(
    name = "prune",
    description = "Take out of a model what matters least, so that it is really smaller.")
final class PruneCommand extends Subcommand {
  @Parameters(
      paramLabel = "MODEL|RECIPE.yaml",
      description = "A model, or a recipe that says all of this.")
  private Path source = Path.of("");

  @Option(names = "--adapter", paramLabel = "DIR", description = "Merged into MODEL first.")
  private @Nullable Path adapter;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description = "Texts as the model will see them, best with labels.")
  private @Nullable Path data;

  @Option(
      names = "--test",
      paramLabel = "FILE",
      description = "Labelled rows to judge before and after (default: those of --data).")
  private @Nullable Path test;

  @Mixin private TextArguments texts = new TextArguments();

  @Option(
      names = "--output",
      paramLabel = "OUT",
      description = "An .onnx file, or a folder with the tokenizer and the files that serve it.")
  private @Nullable Path output;

  @Option(
      names = "--format",
      description = "${COMPLETION-CANDIDATES} (default: onnx); safetensors for even cuts.")
  private ExportCommand.Format format = ExportCommand.Format.ONNX;

  @Option(
      names = "--structure",
      split = ",",
      paramLabel = "NAME",
      description = "neurons, heads, channels, width, layers, vocabulary (default: neurons).")
  private List<String> structures = new ArrayList<>();

  @Option(names = "--share", description = "The share of units that goes (default: 0.3).")
  private @Nullable Double share;

  @Option(names = "--parameters", paramLabel = "N", description = "At most N parameters stay.")
  private @Nullable Long parameters;

  @Option(names = "--flops", paramLabel = "SHARE", description = "The share of FLOPs that goes.")
  private @Nullable Double flops;

  @Option(
      names = "--latency",
      paramLabel = "SHARE",
      description = "The share of the time of one row, measured here, that goes.")
  private @Nullable Double latency;

  @Option(
      names = "--importance",
      paramLabel = "NAME",
      description =
          "magnitude, taylor, taylor-squared, fisher, weight-taylor, weight-fisher, activation,"
              + " wanda (default: fisher).")
  private String importance = Importance.FISHER.label();

  @Option(names = "--even", description = "Let every layer lose the same share.")
  private boolean even;

  @Option(
      names = "--steps",
      converter = NumberArguments.Count.class,
      description = "Prune and recover in so many steps (default: 1).")
  private int steps = 1;

  @Option(
      names = "--recover",
      paramLabel = "METHOD",
      description = "${COMPLETION-CANDIDATES} (default: distill).")
  private PruneRecipe.Recover recover = PruneRecipe.Recover.DISTILL;

  @Option(
      names = "--epochs",
      converter = NumberArguments.Count.class,
      description = "Of the recovery after each step (default: 3).")
  private int epochs = 3;

  @Option(
      names = "--set",
      paramLabel = "key=value",
      description = "Takes the place of a key of the recipe.")
  private List<String> settings = new ArrayList<>();

  @Option(names = "--overwrite", description = "Replace a result that is at OUT already.")
  private boolean overwrite;

  @Override
  protected void execute() {
    PruneRecipe recipe = recipe();
    PruneOutput target = new PruneOutput(recipe, overwrite);
    target.requireFree();
    PruneRun run = new PruneRun(recipe);
    try (TrainingProgress bar = new TrainingProgress(err())) {
      run.prune(interactive() ? bar : TrainingListener.NONE);
    }
    PruneReport report = target.write(run);
    print(report, report.text());
  }

  private PruneRecipe recipe() {
    String name = source.toString();
    if (name.endsWith(".yaml") || name.endsWith(".yml")) {
      requireNoOther();
      return PruneRecipe.read(source, settings);
    }
    if (!settings.isEmpty()) {
      throw wrongUsage("--set changes a recipe; " + name + " is none");
    }
    if (output == null) {
      throw wrongUsage("--output is missing");
    }
    if (structures.contains("weights")) {
      throw wrongUsage("weights that are zero leave no shape smaller; 'peft4j sparsify' sets them");
    }
    if (structures.contains("rank")) {
      throw wrongUsage("'peft4j factorize' splits layers into two of a low rank");
    }
    try {
      return new PruneRecipe(
          source,
          adapter,
          output,
          format,
          PruneRecipe.structures(structures.isEmpty() ? List.of("neurons") : structures),
          PruneRecipe.importance(importance),
          PruneRecipe.target(share, parameters, flops, latency),
          even,
          steps,
          PruneRecipe.ROWS,
          recover,
          data,
          null,
          test,
          texts.columns(),
          recover.standard(epochs, texts.maxLength()));
    } catch (RecipeException e) {
      throw wrongUsage(String.valueOf(e.getMessage()));
    }
  }

  /** A recipe says everything but whether to overwrite. */
  private void requireNoOther() {
    List<String> allowed = List.of("--set", "--overwrite", "--json", "--stacktrace");
    for (OptionSpec option : given()) {
      if (!allowed.contains(option.longestName())) {
        throw wrongUsage(
            option.longestName() + " does not go with a recipe; put it there, or use --set");
      }
    }
  }
}
