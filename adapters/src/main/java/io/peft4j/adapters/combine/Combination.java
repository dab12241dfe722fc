package io.peft4j.adapters.combine;

import com.google.common.base.CharMatcher;
import com.google.common.base.Splitter;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.Version;
import io.peft4j.adapters.peft.HeadFiles.Head;
import io.peft4j.adapters.peft.PeftFolder;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * How adapters are made into one. The numbers are computed in float64 and rounded once to float32.
 *
 * @param weights one for each adapter; negative ones take away
 * @param density the share of entries that stay, for the types that leave some out; null for the
 *     others
 * @param majoritySign for TIES; null is {@link MajoritySign#TOTAL}
 * @param rank for the types that end in svd; null for the largest rank of the adapters
 * @param seed decides which entries DARE leaves out; null is 0
 */
public record Combination(
    CombinationType type,
    List<Double> weights,
    @Nullable Double density,
    @Nullable MajoritySign majoritySign,
    @Nullable Integer rank,
    @Nullable Long seed) {

  /**
   * @throws RecipeException if a value is out of its range, missing, or not one of the type's
   */
  public Combination {
    weights = List.copyOf(weights);
    for (double weight : weights) {
      require(Double.isFinite(weight), "weights must be finite numbers, was " + weight);
    }
    boolean prunes = type.prunes();
    require(
        !prunes || density != null,
        "density is needed for the type %s: the share of entries that stay".formatted(type));
    requireOnly(prunes, density, "density", type);
    require(
        density == null || (density > 0 && density <= 1),
        "density must be above 0 and at most 1, was " + density);
    requireOnly(type.electsSign(), majoritySign, "majority-sign", type);
    requireOnly(type.isOfUpdates(), rank, "rank", type);
    require(rank == null || rank >= 1, "rank must be at least 1, was " + rank);
    requireOnly(type.isRandom(), seed, "seed", type);
    if (type == CombinationType.AVERAGE) {
      double sum = weights.stream().mapToDouble(weight -> weight).sum();
      require(
          sum > 0 && Double.isFinite(sum),
          "weights must have a sum above 0 for the type average, was " + sum);
    }
  }

  private static void requireOnly(
      boolean wanted, @Nullable Object value, String name, CombinationType type) {
    require(wanted || value == null, "%s has no meaning for the type %s".formatted(name, type));
  }

  private static void require(boolean holds, String message) {
    if (!holds) {
      throw new RecipeException(message);
    }
  }

  /**
   * Reads and combines adapters.
   *
   * @param folders of PEFT, as many as there are weights
   * @throws io.peft4j.CheckpointFormatException if a folder is damaged
   * @throws PeftException if the adapters cannot be combined like this; the message says why
   */
  public PeftFolder of(List<Path> folders) {
    if (folders.size() != weights.size()) {
      throw new PeftException(
          "%d adapters need as many weights, was given %d"
              .formatted(folders.size(), weights.size()));
    }
    List<PeftFolder> inputs = folders.stream().map(PeftFolder::read).toList();
    requireOneBase(inputs);
    PeftFolder result =
        type == CombinationType.AVERAGE
            ? Average.of(inputs, weights)
            : new LoraCombination(this, inputs.stream().map(LoraFolder::of).toList()).combined();
    return new PeftFolder(
        result.folder(), result.fields(), result.tensors(), noted(result.head(), inputs));
  }

  private static void requireOneBase(List<PeftFolder> inputs) {
    Set<String> bases = new LinkedHashSet<>();
    for (PeftFolder input : inputs) {
      String hash = input.head().provenance().get("baseSha256");
      if (hash != null) {
        bases.add(hash);
      }
    }
    if (bases.size() > 1) {
      throw new PeftException(
          "the adapters were trained on base models with different weights (baseSha256 %s); combine adapters of one base model"
              .formatted(String.join(", ", bases)));
    }
    Set<String> names = new LinkedHashSet<>();
    inputs.forEach(input -> names.add(baseName(input)));
    names.remove("");
    if (bases.isEmpty() && names.size() > 1) {
      throw new PeftException(
          "the adapters name different base models (%s); combine adapters of one base model, or set base_model_name_or_path alike where they are one"
              .formatted(String.join(", ", names)));
    }
  }

  /** The base model's name without the place where it lay. */
  private static String baseName(PeftFolder input) {
    String name = input.config().textOrEmpty("base_model_name_or_path");
    List<String> parts = Splitter.on(CharMatcher.anyOf("/\\")).omitEmptyStrings().splitToList(name);
    return parts.isEmpty() ? "" : parts.get(parts.size() - 1);
  }

  private Head noted(Head head, List<PeftFolder> inputs) {
    Map<String, String> notes = new LinkedHashMap<>();
    notes.put("peft4j", Version.text());
    for (PeftFolder input : inputs) {
      String hash = input.head().provenance().get("baseSha256");
      if (hash != null) {
        notes.put("baseSha256", hash);
      }
    }
    notes.put("combined", String.valueOf(inputs.stream().map(Combination::name).toList()));
    notes.put("combination", described());
    return new Head(head.stored(), head.labels(), notes);
  }

  private String described() {
    StringBuilder text = new StringBuilder(type + ", weights " + weights);
    text.append(density == null ? "" : ", density " + density);
    text.append(majoritySign == null ? "" : ", majority-sign " + majoritySign);
    text.append(rank == null ? "" : ", rank " + rank);
    return text.append(seed == null ? "" : ", seed " + seed).toString();
  }

  private static String name(PeftFolder input) {
    Path name = input.folder().toAbsolutePath().normalize().getFileName();
    return name == null ? "" : name.toString();
  }
}
