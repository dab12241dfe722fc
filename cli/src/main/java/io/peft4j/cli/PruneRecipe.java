package io.peft4j.cli;

import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.compress.distill.Augmentation;
import io.peft4j.compress.distill.Distillation;
import io.peft4j.compress.distill.InnerMatches;
import io.peft4j.compress.distill.SoftTargets;
import io.peft4j.compress.prune.Importance;
import io.peft4j.compress.prune.Pruning;
import io.peft4j.compress.prune.Recovery;
import io.peft4j.compress.prune.Structure;
import io.peft4j.compress.prune.Target;
import io.peft4j.data.DataFiles;
import io.peft4j.train.Recipe;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What {@code peft4j prune} is asked to do.
 *
 * @param adapter merged into the model first; null for none
 * @param output an ONNX file or a folder
 * @param format of the output
 * @param structures what goes
 * @param target how much of it
 * @param even whether layers stay alike
 * @param steps in how many steps
 * @param rows rows that the importance looks at
 * @param train the user's data; null for none
 * @param validation judged after each epoch of the recovery; null to keep the last
 * @param test judged before and after; null for the training data
 * @param training how the recovery trains
 */
record PruneRecipe(
    Path model,
    @Nullable Path adapter,
    Path output,
    ExportCommand.Format format,
    Set<Structure> structures,
    Importance importance,
    Target target,
    boolean even,
    int steps,
    int rows,
    Recover recover,
    @Nullable Path train,
    @Nullable Path validation,
    @Nullable Path test,
    DataFiles.Columns columns,
    Recipe training) {
  static final int ROWS = 256;

  /** How what was lost is won back. */
  enum Recover {
    NONE,
    /** All weights learn from the unpruned model's scores. */
    DISTILL,
    /** A LoRA on all linear layers learns from the unpruned model's scores, and is merged. */
    LORA,
    /** All weights learn from the labels. */
    FULL;

    /** How it trains where nothing else is said. */
    Recipe standard(int epochs, int maxLength) {
      return Recipe.builder()
          .optEpochs(epochs)
          .optMaxLength(maxLength)
          .optLearningRate(this == LORA ? 1e-3 : 5e-5)
          .build();
    }

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private static final List<String> OWN_KEYS =
      List.of(
          "model",
          "adapter",
          "output",
          "format",
          "prune.structures",
          "prune.importance",
          "prune.share",
          "prune.parameters",
          "prune.flops",
          "prune.latency",
          "prune.even",
          "prune.steps",
          "prune.rows",
          "recover.method");

  private static final List<String> KEYS =
      Stream.of(OWN_KEYS, TrainRecipe.keys("data"), TrainRecipe.keys("training"))
          .flatMap(List::stream)
          .filter(key -> !key.equals(TrainRecipe.STATE_STEPS)) // a recovery is not resumed
          .toList();

  /**
   * @throws RecipeException if fields do not go together
   */
  PruneRecipe {
    structures = Set.copyOf(structures);
    boolean looks = recover != Recover.NONE || structures.contains(Structure.VOCABULARY);
    if (train == null && (looks || importance.needsData())) {
      throw new RecipeException(
          "data: %s needs texts; give some, or take importance magnitude and recover none"
              .formatted(looks ? "what was chosen" : "importance " + importance.label()));
    }
    boolean vocabulary = structures.contains(Structure.VOCABULARY);
    if (vocabulary
        && (output.toString().endsWith(".onnx") || format != ExportCommand.Format.ONNX)) {
      throw new RecipeException(
          "output: vocabulary changes the tokenizer too, and is written as a folder with ONNX");
    }
    pruning(structures, importance, target, even, steps, rows);
  }

  /**
   * Reads a recipe.
   *
   * @param settings {@code key=value} that take the place of the file's
   * @throws RecipeException with file, line, key and what is allowed
   */
  static PruneRecipe read(Path file, List<String> settings) {
    RecipeKeys keys = RecipeKeys.read(file, KEYS, settings);
    try {
      Recover recover = keys.choice("recover.method", Recover.DISTILL);
      String second = keys.text("data.second", "");
      return new PruneRecipe(
          Path.of(keys.required("model")),
          path(keys, "adapter"),
          Path.of(keys.required("output")),
          keys.choice("format", ExportCommand.Format.ONNX),
          structures(
              keys.has("prune.structures") ? keys.texts("prune.structures") : List.of("neurons")),
          importance(keys.text("prune.importance", Importance.FISHER.label())),
          target(
              number(keys, "prune.share"),
              keys.has("prune.parameters") ? (long) keys.number("prune.parameters", 0) : null,
              number(keys, "prune.flops"),
              number(keys, "prune.latency")),
          keys.flag("prune.even", false),
          keys.whole("prune.steps", 1),
          keys.whole("prune.rows", ROWS),
          recover,
          path(keys, "data.train"),
          path(keys, "data.validation"),
          path(keys, "data.test"),
          new DataFiles.Columns(
              keys.text("data.text", "text"),
              second.isEmpty() ? null : second,
              keys.text("data.label", "label")),
          TrainRecipe.training(keys, recover.standard(3, Recipe.standard().maxLength())));
    } catch (RecipeException e) {
      throw TrainRecipe.placed(keys, KEYS, e);
    }
  }

  private static @Nullable Path path(RecipeKeys keys, String key) {
    String text = keys.text(key, "");
    return text.isEmpty() ? null : Path.of(text);
  }

  private static @Nullable Double number(RecipeKeys keys, String key) {
    return keys.has(key) ? keys.number(key, 0) : null;
  }

  /**
   * The structures of these names.
   *
   * @throws RecipeException if a name is none
   */
  static Set<Structure> structures(List<String> names) {
    Set<Structure> structures = EnumSet.noneOf(Structure.class);
    for (String name : names) {
      structures.add(
          Arrays.stream(Structure.values())
              .filter(s -> s.label().equalsIgnoreCase(name.strip()))
              .findFirst()
              .orElseThrow(
                  () ->
                      new RecipeException(
                          "structures must be of %s, was '%s'"
                              .formatted(
                                  String.join(
                                      ", ",
                                      Arrays.stream(Structure.values())
                                          .map(Structure::label)
                                          .toList()),
                                  name))));
    }
    return structures;
  }

  /**
   * The importance of this name.
   *
   * @throws RecipeException if there is none
   */
  static Importance importance(String name) {
    return Arrays.stream(Importance.values())
        .filter(i -> i.label().equalsIgnoreCase(name.strip()))
        .findFirst()
        .orElseThrow(
            () ->
                new RecipeException(
                    "importance must be one of %s, was '%s'"
                        .formatted(
                            String.join(
                                ", ",
                                Arrays.stream(Importance.values()).map(Importance::label).toList()),
                            name)));
  }

  /**
   * The one target that is given; a share of 0.3 if none is.
   *
   * @throws RecipeException if several are
   */
  static Target target(
      @Nullable Double share,
      @Nullable Long parameters,
      @Nullable Double flops,
      @Nullable Double latency) {
    List<Target> given = new ArrayList<>();
    if (share != null) {
      given.add(Target.share(share));
    }
    if (parameters != null) {
      given.add(Target.parameters(parameters));
    }
    if (flops != null) {
      given.add(Target.flops(flops));
    }
    if (latency != null) {
      given.add(Target.latency(latency));
    }
    if (given.size() > 1) {
      throw new RecipeException(
          "share: only one of share, parameters, flops and latency can be the target");
    }
    return given.isEmpty() ? Target.share(0.3) : given.get(0);
  }

  /** What is to be pruned but the vocabulary; null if that is all. */
  @Nullable Pruning pruning() {
    Pruning pruning = pruning(structures, importance, target, even, steps, rows);
    return pruning == null ? null : pruning.recovering(recovery());
  }

  private static @Nullable Pruning pruning(
      Set<Structure> structures,
      Importance importance,
      Target target,
      boolean even,
      int steps,
      int rows) {
    Set<Structure> others = EnumSet.noneOf(Structure.class);
    others.addAll(structures);
    others.remove(Structure.VOCABULARY);
    return others.isEmpty() && !structures.isEmpty()
        ? null
        : new Pruning(others, importance, target, even, steps, rows, null);
  }

  private @Nullable Recovery recovery() {
    return switch (recover) {
      case NONE -> null;
      case DISTILL -> Recovery.distillation(Distillation.standard(), training);
      case LORA ->
          Recovery.distillation(
              new Distillation(
                  SoftTargets.standard(),
                  InnerMatches.none(),
                  Lora.rank(8).on(Targets.allLinear()),
                  Augmentation.none()),
              training);
      case FULL -> Recovery.fineTuning(FreezeMask.all(), training);
    };
  }
}
