package io.peft4j.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.compress.lowrank.Factorization;
import io.peft4j.compress.lowrank.LayerRank;
import io.peft4j.compress.lowrank.LowRankModel;
import io.peft4j.compress.lowrank.RankRule;
import io.peft4j.train.TrainingListener;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code peft4j factorize}. */
@Command(
    name = "factorize",
    description =
        "Put two linear layers of a low rank in the place of one, where that has fewer parameters.")
final class FactorizeCommand extends Subcommand {
  @Mixin private ModelArguments model = new ModelArguments();
  @Mixin private RowsArguments rows = new RowsArguments();

  @Option(names = "--output", required = true, paramLabel = "OUT.onnx")
  private Path output = Path.of("");

  @Option(
      names = "--saving",
      paramLabel = "SHARE",
      description = "The rank that saves this share of each layer's weights.")
  private @Nullable Double saving;

  @Option(
      names = "--energy",
      paramLabel = "SHARE",
      description =
          "The least rank that keeps this share of the squares of the singular values; layers whose"
              + " rank would save nothing stay.")
  private @Nullable Double energy;

  @Option(names = "--rank", paramLabel = "R", description = "The same rank for every layer.")
  private @Nullable Integer rank;

  @Option(
      names = "--activations",
      description = "Make the error of outputs on --data least, rather than that of weights.")
  private boolean activations;

  @Option(
      names = "--targets",
      description =
          "feed-forward, attention, all-linear, names or an expression (default: all-linear, which"
              + " is all but the head).")
  private String targets = "all-linear";

  @Option(names = "--overwrite", description = "Replace a model that is at OUT already.")
  private boolean overwrite;

  /** One layer as it is printed; the error of its output is null without data. */
  @JsonPropertyOrder({"layer", "in", "out", "rank", "split", "weightError", "outputError"})
  @JsonInclude(JsonInclude.Include.ALWAYS)
  record Layer(
      String layer,
      long in,
      long out,
      int rank,
      boolean split,
      double weightError,
      @Nullable Double outputError) {
    static Layer of(LayerRank layer) {
      return new Layer(
          layer.path(),
          layer.in(),
          layer.out(),
          layer.rank(),
          layer.split(),
          layer.weightError(),
          layer.outputError().isPresent() ? layer.outputError().getAsDouble() : null);
    }
  }

  /**
   * What is printed; errors are those before any training.
   *
   * @param validationAccuracy after training; null without it or without validation rows
   */
  @JsonPropertyOrder({
    "output",
    "parametersBefore",
    "parameters",
    "bytes",
    "validationAccuracy",
    "layers"
  })
  @JsonInclude(JsonInclude.Include.ALWAYS)
  record Result(
      String output,
      long parametersBefore,
      long parameters,
      long bytes,
      @Nullable Double validationAccuracy,
      List<Layer> layers) {
    String text() {
      StringBuilder text = new StringBuilder();
      text.append(
          "%-44s %11s %5s %13s %13s%n"
              .formatted("layer", "size", "rank", "weight error", "output error"));
      for (Layer layer : layers) {
        text.append(
            String.format(
                Locale.ROOT,
                "%-44s %11s %5s %13.4f %13s%n",
                layer.layer(),
                layer.out() + "x" + layer.in(),
                layer.split() ? Integer.toString(layer.rank()) : "whole",
                layer.weightError(),
                layer.outputError() == null
                    ? "-"
                    : String.format(Locale.ROOT, "%.4f", layer.outputError())));
      }
      return text
          + String.format(
              Locale.ROOT,
              "%s written: %d of %d layers split, %d parameters of %d, %d bytes",
              output,
              layers.stream().filter(Layer::split).count(),
              layers.size(),
              parameters,
              parametersBefore,
              bytes)
          + (validationAccuracy == null
              ? ""
              : String.format(Locale.ROOT, "%nvalidation accuracy %.4f", validationAccuracy));
    }
  }

  @Override
  protected void execute() {
    Factorization plan = plan();
    ModelArguments.Opened opened = model.open();
    Outputs.requireModelTarget(output, overwrite, model.path(), model.adapter());
    PretrainedModel whole = opened.merged();
    LowRankModel low;
    try (LayerLine line = new LayerLine(err(), interactive())) {
      low = plan.apply(whole, rows.calibration(whole), layer -> line.show(layer.path()));
    }
    RowsArguments.Trained trained;
    try (TrainingProgress bar = new TrainingProgress(err())) {
      TrainingListener listener = interactive() ? bar : TrainingListener.NONE;
      trained = rows.trained(low.model(), FreezeMask.all(), listener);
    }
    PretrainedModel made = trained.model();
    CompactOutput.write(made, output, model.path());
    Result result =
        new Result(
            output.toString(),
            whole.graph().parameterCount(),
            made.graph().parameterCount(),
            CompactOutput.bytes(output),
            trained.accuracy(),
            low.layers().stream().map(Layer::of).toList());
    print(result, result.text());
  }

  /** The plan; whatever is wrong with the arguments alone is wrong usage. */
  private Factorization plan() {
    String mistake = rows.mistake("--activations", activations);
    if (mistake != null) {
      throw wrongUsage(mistake);
    }
    if (!output.toString().endsWith(".onnx")) {
      throw wrongUsage("--output must end in .onnx: no other format holds split layers");
    }
    try {
      List<RankRule> rules = new ArrayList<>();
      if (saving != null) {
        rules.add(new RankRule.Saving(saving));
      }
      if (energy != null) {
        rules.add(new RankRule.Energy(energy));
      }
      if (rank != null) {
        rules.add(new RankRule.Fixed(rank));
      }
      if (rules.size() != 1) {
        throw wrongUsage("give one of --saving, --energy and --rank");
      }
      Factorization plan = Factorization.of(rules.get(0)).on(Targets.parse(targets));
      return activations ? plan.byActivations() : plan;
    } catch (RecipeException e) {
      throw wrongUsage(String.valueOf(e.getMessage()));
    }
  }
}
