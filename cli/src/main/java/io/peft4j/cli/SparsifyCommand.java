package io.peft4j.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.compress.sparse.GradualSparsity;
import io.peft4j.compress.sparse.HeldSparsity;
import io.peft4j.compress.sparse.Importance;
import io.peft4j.compress.sparse.LayerSparsity;
import io.peft4j.compress.sparse.Pattern;
import io.peft4j.compress.sparse.SparseModel;
import io.peft4j.compress.sparse.Sparsification;
import io.peft4j.train.TrainingListener;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code peft4j sparsify}. */
@Command(
    name = "sparsify",
    description =
        "Set weights of linear layers to zero. Shapes, parameters and bytes stay as they are;"
            + " 'prune' makes models smaller.")
final class SparsifyCommand extends Subcommand {
  /** What says which weights go. */
  enum Kind {
    MAGNITUDE,
    WANDA,
    SPARSEGPT,
    /** While training. */
    MOVEMENT;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Mixin private ModelArguments model = new ModelArguments();
  @Mixin private RowsArguments rows = new RowsArguments();

  @Option(
      names = "--output",
      required = true,
      paramLabel = "OUT",
      description = "An .onnx file, or written in MODEL's own format.")
  private Path output = Path.of("");

  @Option(
      names = "--sparsity",
      paramLabel = "SHARE",
      description = "The share of weights that goes, from 0 to below 1.")
  private @Nullable Double sparsity;

  @Option(
      names = "--pattern",
      paramLabel = "N:M",
      description = "In place of --sparsity: N of each M inputs stay, as in 2:4.")
  private @Nullable String pattern;

  @Option(
      names = "--scope",
      description =
          "With --sparsity: among which weights the least are looked for, ${COMPLETION-CANDIDATES}"
              + " (default: layer; wanda: row).")
  private Pattern.@Nullable Scope scope;

  @Option(
      names = "--importance",
      description =
          "${COMPLETION-CANDIDATES} (default: magnitude). All others need --data; movement needs"
              + " --epochs too, as it chooses while the model trains, and thousands of steps from a"
              + " MODEL that has not learned --data yet: else sparsegpt keeps more.")
  private Kind importance = Kind.MAGNITUDE;

  @Option(
      names = "--targets",
      description =
          "feed-forward, attention, all-linear, names or an expression (default: all-linear, which"
              + " is all but the head).")
  private String targets = "all-linear";

  @Option(names = "--overwrite", description = "Replace a model that is at OUT already.")
  private boolean overwrite;

  /** One layer as it is printed; the error is of its output on the data, null without data. */
  @JsonPropertyOrder({"layer", "weights", "zeros", "sparsity", "outputError"})
  @JsonInclude(JsonInclude.Include.ALWAYS)
  record Layer(
      String layer, long weights, long zeros, double sparsity, @Nullable Double outputError) {
    static Layer of(LayerSparsity layer) {
      return new Layer(
          layer.path(),
          layer.weights(),
          layer.zeros(),
          layer.sparsity(),
          layer.outputError().isPresent() ? layer.outputError().getAsDouble() : null);
    }
  }

  /**
   * What is printed.
   *
   * @param sparsity the share of zeros in the targets
   * @param modelSparsity the share of zeros in all weights
   * @param bytes of what was written; zeros take as many as other numbers
   * @param compressedBytes what gzip makes of it
   * @param validationAccuracy after training; null without it or without validation rows
   */
  @JsonPropertyOrder({
    "output",
    "importance",
    "pattern",
    "sparsity",
    "modelSparsity",
    "parameters",
    "bytes",
    "compressedBytes",
    "validationAccuracy",
    "layers"
  })
  @JsonInclude(JsonInclude.Include.ALWAYS)
  record Result(
      String output,
      String importance,
      String pattern,
      double sparsity,
      double modelSparsity,
      long parameters,
      long bytes,
      long compressedBytes,
      @Nullable Double validationAccuracy,
      List<Layer> layers) {
    String text() {
      StringBuilder text = new StringBuilder();
      text.append("%-44s %10s %9s %13s%n".formatted("layer", "weights", "zeros", "output error"));
      for (Layer layer : layers) {
        text.append(
            String.format(
                Locale.ROOT,
                "%-44s %10d %8.2f%% %13s%n",
                layer.layer(),
                layer.weights(),
                100 * layer.sparsity(),
                layer.outputError() == null
                    ? "-"
                    : String.format(Locale.ROOT, "%.4f", layer.outputError())));
      }
      return text
          + String.format(
              Locale.ROOT,
              "%s written: sparse by %s, %.2f%% of the weights of %d layers are zero, %.2f%% of"
                  + " all.%nIt has %d parameters and takes %d bytes as if none were: zeros take as"
                  + " much room as other numbers. gzip makes %d bytes of it.",
              output,
              importance,
              100 * sparsity,
              layers.size(),
              100 * modelSparsity,
              parameters,
              bytes,
              compressedBytes)
          + (validationAccuracy == null
              ? ""
              : String.format(Locale.ROOT, "%nvalidation accuracy %.4f", validationAccuracy));
    }
  }

  @Override
  protected void execute() {
    Pattern wanted = pattern();
    ModelArguments.Opened opened = model.open();
    Outputs.requireModelTarget(output, overwrite, model.path(), model.adapter());
    PretrainedModel dense = opened.merged();
    Made made = made(dense, wanted);
    SparseModel sparse = made.sparse();
    CompactOutput.write(sparse.model(), output, model.path());
    Result result =
        new Result(
            output.toString(),
            importance.toString(),
            wanted.toString(),
            sparse.sparsity(),
            sparse.modelSparsity(),
            sparse.model().graph().parameterCount(),
            CompactOutput.bytes(output),
            CompactOutput.compressedBytes(output),
            made.accuracy(),
            sparse.layers().stream().map(Layer::of).toList());
    print(result, result.text());
  }

  /** The pattern; whatever is wrong with the arguments alone is wrong usage. */
  private Pattern pattern() {
    String mistake = rows.mistake("--importance " + importance, importance != Kind.MAGNITUDE);
    if (mistake != null) {
      throw wrongUsage(mistake);
    }
    if (importance == Kind.MOVEMENT && !rows.trains()) {
      throw wrongUsage("--importance movement chooses while the model trains; give --epochs");
    }
    if ((sparsity == null) == (pattern == null)) {
      throw wrongUsage("give one of --sparsity and --pattern");
    }
    if (pattern != null && scope != null) {
      throw wrongUsage("--scope goes with --sparsity; a pattern looks at each group by itself");
    }
    try {
      Pattern wanted =
          sparsity == null
              ? Pattern.parse(String.valueOf(pattern))
              : new Pattern.Share(sparsity, scope == null ? usualScope() : scope);
      if (importance != Kind.MOVEMENT) {
        plan(wanted);
      }
      return wanted;
    } catch (RecipeException e) {
      throw wrongUsage(String.valueOf(e.getMessage()));
    }
  }

  private Pattern.Scope usualScope() {
    return importance == Kind.WANDA ? Pattern.Scope.ROW : Pattern.Scope.LAYER;
  }

  private Sparsification plan(Pattern wanted) {
    return new Sparsification(
        Importance.valueOf(importance.name()), wanted, Targets.parse(targets));
  }

  private record Made(SparseModel sparse, @Nullable Double accuracy) {}

  private Made made(PretrainedModel dense, Pattern wanted) {
    Targets chosen = Targets.parse(targets);
    if (importance == Kind.MOVEMENT) {
      GradualSparsity gradual =
          GradualSparsity.of(GradualSparsity.Score.MOVEMENT, wanted).on(chosen);
      return trained(dense, gradual, chosen);
    }
    SparseModel sparse;
    try (LayerLine line = new LayerLine(err(), interactive())) {
      sparse = plan(wanted).apply(dense, rows.calibration(dense), layer -> line.show(layer.path()));
    }
    return rows.trains()
        ? trained(sparse.model(), new HeldSparsity(chosen, FreezeMask.all()), chosen)
        : new Made(sparse, null);
  }

  private Made trained(PretrainedModel start, AdapterMethod method, Targets chosen) {
    try (TrainingProgress bar = new TrainingProgress(err())) {
      RowsArguments.Trained done =
          rows.trained(start, method, interactive() ? bar : TrainingListener.NONE);
      return new Made(SparseModel.measured(done.model(), chosen), done.accuracy());
    }
  }
}
