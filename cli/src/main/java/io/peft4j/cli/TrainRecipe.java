package io.peft4j.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.base.CaseFormat;
import com.google.common.base.Splitter;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.adapters.freeze.Selection;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.data.DataFiles;
import io.peft4j.task.Pooling;
import io.peft4j.train.Recipe;
import io.peft4j.train.Schedule;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * What {@code peft4j train} is asked to do.
 *
 * @param targets as the recipe gives them
 * @param validation judged after each epoch to keep the best; null to keep the last
 * @param test judged once at the end; null for none
 * @param stateSteps a state to resume from is written after so many steps; 0 for epochs only
 */
record TrainRecipe(
    Path model,
    Path output,
    AdapterMethod method,
    JsonNode targets,
    Path train,
    @Nullable Path validation,
    @Nullable Path test,
    DataFiles.Columns columns,
    Recipe training,
    int stateSteps) {

  private static final String SELECTIONS = "adapter.selections";

  private static final List<String> LORA_KEYS =
      List.of(
          "adapter.rank",
          "adapter.alpha",
          "adapter.dropout",
          "adapter.rslora",
          "adapter.targets",
          "adapter.modules_to_save",
          "adapter.rank_pattern",
          "adapter.alpha_pattern");

  private static final List<String> KEYS =
      List.of(
          "model",
          "output",
          "adapter.method",
          "adapter.rank",
          "adapter.alpha",
          "adapter.dropout",
          "adapter.rslora",
          "adapter.targets",
          "adapter.modules_to_save",
          "adapter.rank_pattern",
          "adapter.alpha_pattern",
          "adapter.selections",
          "data.train",
          "data.validation",
          "data.test",
          "data.text",
          "data.second",
          "data.label",
          "training.epochs",
          "training.batch_size",
          "training.learning_rate",
          "training.weight_decay",
          "training.schedule",
          "training.warmup_ratio",
          "training.warmup_steps",
          "training.clip_norm",
          "training.shuffle",
          "training.max_length",
          "training.seed",
          "training.state_steps",
          "head.pooling",
          "head.dropout");

  /**
   * Reads a recipe.
   *
   * @param settings {@code key=value} that take the place of the file's
   * @throws RecipeException with file, line, key and what is allowed
   */
  static TrainRecipe read(Path file, List<String> settings) {
    RecipeKeys keys = RecipeKeys.read(file, KEYS, settings);
    try {
      refuseKeysOfOtherMethods(keys);
      String second = keys.text("data.second", "");
      return new TrainRecipe(
          Path.of(keys.required("model")),
          Path.of(keys.required("output")),
          method(keys),
          keys.node("adapter.targets", "feed-forward"),
          Path.of(keys.required("data.train")),
          path(keys, "data.validation"),
          path(keys, "data.test"),
          new DataFiles.Columns(
              keys.text("data.text", "text"),
              second.isEmpty() ? null : second,
              keys.text("data.label", "label")),
          training(keys),
          stateSteps(keys));
    } catch (RecipeException e) {
      throw placed(keys, e);
    }
  }

  /**
   * Checks settings as far as that can be done without the recipe that they change.
   *
   * @throws RecipeException naming the setting
   */
  static void check(List<String> settings) {
    RecipeKeys keys = RecipeKeys.of(KEYS, settings);
    List<Consumer<RecipeKeys>> parts =
        List.of(TrainRecipe::method, TrainRecipe::training, TrainRecipe::stateSteps);
    for (Consumer<RecipeKeys> part : parts) {
      try {
        part.accept(keys);
      } catch (RecipeException e) {
        RecipeException placed = placed(keys, e);
        if (RecipeKeys.isSetting(String.valueOf(placed.getMessage()))) {
          throw placed; // what else is wrong, the recipe may put right
        }
      }
    }
  }

  private static int stateSteps(RecipeKeys keys) {
    int steps = keys.whole("training.state_steps", 0);
    if (steps < 0) {
      throw new RecipeException("stateSteps must be 0 or a positive number, was " + steps);
    }
    return steps;
  }

  /** Names the place of the field that a record's constructor refused. */
  private static RecipeException placed(RecipeKeys keys, RecipeException e) {
    String message = String.valueOf(e.getMessage());
    if (keys.isPlaced(message)) {
      return e;
    }
    String field = Splitter.on(' ').split(message).iterator().next();
    String name = CaseFormat.LOWER_CAMEL.to(CaseFormat.LOWER_UNDERSCORE, field);
    String key =
        KEYS.stream()
            .filter(k -> k.endsWith("." + name) || k.replace('.', '_').equals(name))
            .findFirst()
            .orElse("");
    return new RecipeException(keys.place(key) + ": " + message.replaceFirst("^" + field, name), e);
  }

  private static @Nullable Path path(RecipeKeys keys, String key) {
    String text = keys.text(key, "");
    return text.isEmpty() ? null : Path.of(text);
  }

  private static AdapterMethod method(RecipeKeys keys) {
    String name = keys.text("adapter.method", Lora.NAME);
    return switch (name) {
      case Lora.NAME -> lora(keys);
      case FreezeMask.NAME -> freezeMask(keys);
      default ->
          throw new RecipeException(
              "%s: adapter.method must be one of %s, %s, was '%s'"
                  .formatted(keys.place("adapter.method"), Lora.NAME, FreezeMask.NAME, name));
    };
  }

  /** Refuses keys that the method would pass over. */
  private static void refuseKeysOfOtherMethods(RecipeKeys keys) {
    String name = keys.text("adapter.method", Lora.NAME);
    for (String key : name.equals(Lora.NAME) ? List.of(SELECTIONS) : LORA_KEYS) {
      if (keys.has(key)) {
        throw new RecipeException(
            "%s: %s does not go with adapter.method %s; remove it, or give it no value"
                .formatted(keys.place(key), key, name));
      }
    }
  }

  private static FreezeMask freezeMask(RecipeKeys keys) {
    try {
      return new FreezeMask(keys.texts(SELECTIONS).stream().map(Selection::parse).toList());
    } catch (RecipeException e) {
      throw new RecipeException(keys.place(SELECTIONS) + ": " + e.getMessage(), e);
    }
  }

  private static Lora lora(RecipeKeys keys) {
    int rank = keys.whole("adapter.rank", 8);
    Map<String, Integer> ranks = new LinkedHashMap<>();
    keys.numbers("adapter.rank_pattern")
        .forEach((module, r) -> ranks.put(module, whole(module, r)));
    return new Lora(
        rank,
        keys.number("adapter.alpha", 2.0 * rank),
        keys.number("adapter.dropout", 0),
        keys.flag("adapter.rslora", false),
        targets(keys),
        ranks,
        keys.numbers("adapter.alpha_pattern"),
        keys.texts("adapter.modules_to_save"));
  }

  private static int whole(String module, double rank) {
    if (rank != Math.rint(rank)) {
      throw new RecipeException(
          "rank_pattern must hold whole numbers, '%s' has %s".formatted(module, rank));
    }
    return (int) rank;
  }

  private static Targets targets(RecipeKeys keys) {
    String key = "adapter.targets";
    List<String> given = keys.texts(key);
    if (keys.isList(key)) {
      return Targets.named(given);
    }
    return given.isEmpty() ? Targets.feedForward() : Targets.parse(given.get(0));
  }

  private static Recipe training(RecipeKeys keys) {
    Recipe standard = Recipe.standard();
    int warmupSteps = keys.whole("training.warmup_steps", 0);
    return new Recipe(
        keys.whole("training.epochs", standard.epochs()),
        keys.whole("training.batch_size", standard.batchSize()),
        keys.number("training.learning_rate", standard.learningRate()),
        keys.number("training.weight_decay", standard.weightDecay()),
        keys.choice("training.schedule", Schedule.LINEAR),
        keys.number("training.warmup_ratio", warmupSteps > 0 ? 0 : standard.warmupRatio()),
        warmupSteps,
        keys.number("training.clip_norm", standard.clipNorm()),
        keys.flag("training.shuffle", true),
        keys.whole("training.max_length", standard.maxLength()),
        keys.choice("head.pooling", Pooling.MEAN),
        keys.number("head.dropout", standard.headDropout()),
        keys.whole("training.seed", standard.seed()));
  }

  /** The recipe with all values that were in force, as YAML keys. */
  ObjectNode resolved() {
    ObjectNode root = new ObjectMapper().createObjectNode();
    root.put("model", model.toString());
    root.put("output", output.toString());
    ObjectNode adapter = root.putObject("adapter");
    adapter.put("method", method.name());
    if (method instanceof FreezeMask mask) {
      adapter.putPOJO("selections", mask.selections().stream().map(Selection::text).toList());
    }
    if (method instanceof Lora lora) {
      adapter.put("rank", lora.rank());
      adapter.put("alpha", lora.alpha());
      adapter.put("dropout", lora.dropout());
      adapter.put("rslora", lora.rankStabilized());
      adapter.set("targets", targets);
      adapter.putPOJO("modules_to_save", lora.modulesToSave());
      adapter.putPOJO("rank_pattern", lora.rankPattern());
      adapter.putPOJO("alpha_pattern", lora.alphaPattern());
    }
    ObjectNode data = root.putObject("data");
    data.put("train", train.toString());
    data.put("validation", validation == null ? null : validation.toString());
    data.put("test", test == null ? null : test.toString());
    data.put("text", columns.text());
    data.put("second", columns.second());
    data.put("label", columns.label());
    ObjectNode how = root.putObject("training");
    how.put("epochs", training.epochs());
    how.put("batch_size", training.batchSize());
    how.put("learning_rate", training.learningRate());
    how.put("weight_decay", training.weightDecay());
    how.put("schedule", training.schedule().name().toLowerCase(Locale.ROOT));
    how.put("warmup_ratio", training.warmupRatio());
    how.put("warmup_steps", training.warmupSteps());
    how.put("clip_norm", training.clipNorm());
    how.put("shuffle", training.shuffle());
    how.put("max_length", training.maxLength());
    how.put("seed", training.seed());
    how.put("state_steps", stateSteps);
    ObjectNode head = root.putObject("head");
    head.put("pooling", training.pooling().name().toLowerCase(Locale.ROOT));
    head.put("dropout", training.headDropout());
    return root;
  }
}
