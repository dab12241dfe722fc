package io.peft4j.cli.adapter;

import io.peft4j.RecipeException;
import io.peft4j.adapters.combine.Combination;
import io.peft4j.adapters.combine.CombinationType;
import io.peft4j.adapters.combine.MajoritySign;
import io.peft4j.adapters.peft.PeftFolder;
import io.peft4j.cli.Outputs;
import io.peft4j.cli.Subcommand;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code peft4j adapter combine}. */
@Command(
    name = "combine",
    description = "Make several adapters into one, from their files alone, as PEFT does.")
final class CombineCommand extends Subcommand {
  @Parameters(
      arity = "1..*",
      paramLabel = "DIR",
      description = "PEFT folders; of LoRA, but for the type average.")
  private List<Path> adapters = new ArrayList<>();

  @Option(
      names = "--weights",
      split = ",",
      paramLabel = "W",
      description = "One for each adapter, separated by commas (default: 1 for each).")
  private List<Double> weights = new ArrayList<>();

  @Option(names = "--type", description = "${COMPLETION-CANDIDATES} (default: svd).")
  private CombinationType type = CombinationType.SVD;

  @Option(
      names = "--density",
      description = "For ties, dare and magnitude_prune: the share of entries that stay.")
  private @Nullable Double density;

  @Option(
      names = "--majority-sign",
      description = "For ties: what decides the sign, ${COMPLETION-CANDIDATES} (default: total).")
  private @Nullable MajoritySign majoritySign;

  @Option(
      names = "--rank",
      description = "For svd and what ends in it: the rank (default: the largest there is).")
  private @Nullable Integer rank;

  @Option(names = "--seed", description = "For dare: decides what is left out (default: 0).")
  private @Nullable Long seed;

  @Option(names = "--output", required = true, paramLabel = "DIR")
  private Path output = Path.of("");

  @Option(names = "--overwrite", description = "Replace an adapter that is at DIR already.")
  private boolean overwrite;

  /** What is printed. */
  record Result(String output, String type, List<Double> weights, long parameters) {}

  @Override
  protected void execute() {
    List<Double> given = weights.isEmpty() ? Collections.nCopies(adapters.size(), 1.0) : weights;
    if (given.size() != adapters.size()) {
      throw wrongUsage(
          "%d adapters need as many --weights, was given %d"
              .formatted(adapters.size(), given.size()));
    }
    Combination combination = combination(given);
    PeftFolder combined = combination.of(adapters);
    Outputs.requireAdapterTarget(output, overwrite, adapters);
    combined.write(output);
    long parameters = combined.tensors().values().stream().mapToLong(Tensor::size).sum();
    print(
        new Result(output.toString(), type.toString(), given, parameters),
        "%s written: %s of %d adapters, %d parameters"
            .formatted(output, type, adapters.size(), parameters));
  }

  private Combination combination(List<Double> given) {
    try {
      return new Combination(type, given, density, majoritySign, rank, seed);
    } catch (RecipeException e) {
      throw wrongUsage("--" + e.getMessage());
    }
  }
}
