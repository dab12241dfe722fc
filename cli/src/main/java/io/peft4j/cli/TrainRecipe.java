package io.peft4j.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.common.base.CaseFormat;
import com.google.common.base.CharMatcher;
import com.google.common.base.Splitter;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.MethodRecipes;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.data.DataFiles;
import io.peft4j.train.Recipe;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What {@code peft4j train} is asked to do.
 *
 * @param validation judged after each epoch to keep the best; null to keep the last
 * @param test judged once at the end; null for none
 * @param stateSteps a state to resume from is written after so many steps; 0 for epochs only
 */
record TrainRecipe(
    Path model,
    Path output,
    AdapterMethod method,
    Path train,
    @Nullable Path validation,
    @Nullable Path test,
    DataFiles.Columns columns,
    Recipe training,
    int stateSteps) {

  private static final String ADAPTER = "adapter";
  private static final String METHOD = "adapter.method";

  /** The key that says after how many steps a state to resume from is written. */
  static final String STATE_STEPS = "training.state_steps";

  private static final List<String> OTHER_KEYS =
      List.of(
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
          "training.patience",
          "training.clip_norm",
          "training.shuffle",
          "training.max_length",
          "training.seed",
          STATE_STEPS,
          "head.pooling",
          "head.dropout");

  private static final List<String> KEYS =
      Stream.of(Stream.of("model", "output", METHOD), methodKeys(), OTHER_KEYS.stream())
          .flatMap(keys -> keys)
          .toList();

  /** Every key that a recipe of a training may have. */
  static List<String> keys() {
    return KEYS;
  }

  /** The keys of all methods. */
  private static Stream<String> methodKeys() {
    return MethodRecipes.all().stream()
        .flatMap(recipe -> recipe.keys().stream())
        .distinct()
        .map(key -> ADAPTER + "." + key);
  }

  /**
   * Reads a recipe.
   *
   * @param settings {@code key=value} that take the place of the file's
   * @throws RecipeException with file, line, key and what is allowed
   */
  static TrainRecipe read(Path file, List<String> settings) {
    return of(RecipeKeys.read(file, KEYS, settings));
  }

  /** The part of a longer recipe that is about training. */
  static TrainRecipe of(RecipeKeys keys) {
    try {
      refuseKeysOfOtherMethods(keys);
      String second = keys.text("data.second", "");
      return new TrainRecipe(
          Path.of(keys.required("model")),
          Path.of(keys.required("output")),
          method(keys),
          Path.of(keys.required("data.train")),
          path(keys, "data.validation"),
          path(keys, "data.test"),
          new DataFiles.Columns(
              keys.text("data.text", "text"),
              second.isEmpty() ? null : second,
              keys.text("data.label", "label")),
          training(keys, Recipe.standard()),
          stateSteps(keys));
    } catch (RecipeException e) {
      throw placed(keys, KEYS, e);
    }
  }

  /** The keys of one section. */
  static List<String> keys(String section) {
    return KEYS.stream().filter(key -> key.startsWith(section + ".")).toList();
  }

  /**
   * Checks settings as far as that can be done without the recipe that they change.
   *
   * @throws RecipeException naming the setting
   */
  static void check(List<String> settings) {
    RecipeKeys keys = RecipeKeys.of(KEYS, settings);
    List<Consumer<RecipeKeys>> parts =
        List.of(TrainRecipe::method, k -> training(k, Recipe.standard()), TrainRecipe::stateSteps);
    for (Consumer<RecipeKeys> part : parts) {
      try {
        part.accept(keys);
      } catch (RecipeException e) {
        RecipeException placed = placed(keys, KEYS, e);
        if (RecipeKeys.isSetting(String.valueOf(placed.getMessage()))) {
          throw placed; // what else is wrong, the recipe may put right
        }
      }
    }
  }

  static int stateSteps(RecipeKeys keys) {
    int steps = keys.whole(STATE_STEPS, 0);
    if (steps < 0) {
      throw new RecipeException("stateSteps must be 0 or a positive number, was " + steps);
    }
    return steps;
  }

  /** Names the place of the field that a record's constructor refused. */
  static RecipeException placed(RecipeKeys keys, List<String> known, RecipeException e) {
    String message = String.valueOf(e.getMessage());
    if (keys.isPlaced(message)) {
      return e;
    }
    String field = Splitter.on(CharMatcher.anyOf(" :")).split(message).iterator().next();
    String name = CaseFormat.LOWER_CAMEL.to(CaseFormat.LOWER_UNDERSCORE, field);
    List<String> fitting =
        known.stream()
            .filter(
                k -> k.equals(field) || k.endsWith("." + name) || k.replace('.', '_').equals(name))
            .toList();
    String key = // two sections may have keys of one name: the one that is given is wrong
        fitting.stream()
            .filter(keys::has)
            .findFirst()
            .orElse(fitting.isEmpty() ? "" : fitting.get(0));
    String told = key.isEmpty() ? message : name + message.substring(field.length());
    return new RecipeException(keys.place(key) + ": " + told, e);
  }

  static @Nullable Path path(RecipeKeys keys, String key) {
    String text = keys.text(key, "");
    return text.isEmpty() ? null : Path.of(text);
  }

  static AdapterMethod method(RecipeKeys keys) {
    return MethodRecipes.named(keys.text(METHOD, Lora.NAME)).read(keys.section(ADAPTER));
  }

  /** Refuses keys that the method would pass over. */
  static void refuseKeysOfOtherMethods(RecipeKeys keys) {
    MethodRecipe method = MethodRecipes.named(keys.text(METHOD, Lora.NAME));
    for (String key : methodKeys().toList()) {
      if (keys.has(key) && !method.keys().contains(key.substring(ADAPTER.length() + 1))) {
        throw new RecipeException(
            "%s: %s does not go with adapter.method %s; remove it, or give it no value"
                .formatted(keys.place(key), key, method.method()));
      }
    }
  }

  /**
   * The section {@code training}.
   *
   * @param standard what holds where the recipe says nothing
   */
  static Recipe training(RecipeKeys keys, Recipe standard) {
    int warmupSteps = keys.whole("training.warmup_steps", 0);
    return new Recipe(
        keys.whole("training.epochs", standard.epochs()),
        keys.whole("training.batch_size", standard.batchSize()),
        keys.number("training.learning_rate", standard.learningRate()),
        keys.number("training.weight_decay", standard.weightDecay()),
        keys.choice("training.schedule", standard.schedule()),
        keys.number("training.warmup_ratio", warmupSteps > 0 ? 0 : standard.warmupRatio()),
        warmupSteps,
        keys.whole("training.patience", standard.patience()),
        keys.number("training.clip_norm", standard.clipNorm()),
        keys.flag("training.shuffle", standard.shuffle()),
        keys.whole("training.max_length", standard.maxLength()),
        keys.choice("head.pooling", standard.pooling()),
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
    MethodRecipes.of(method).write(method).forEach(adapter::putPOJO);
    ObjectNode data = root.putObject("data");
    data.put("train", train.toString());
    data.put("validation", validation == null ? null : validation.toString());
    data.put("test", test == null ? null : test.toString());
    data.put("text", columns.text());
    data.put("second", columns.second());
    data.put("label", columns.label());
    putTraining(root.putObject("training"), training, stateSteps);
    ObjectNode head = root.putObject("head");
    head.put("pooling", training.pooling().name().toLowerCase(Locale.ROOT));
    head.put("dropout", training.headDropout());
    return root;
  }

  /** The keys of training with their values. */
  static void putTraining(ObjectNode how, Recipe training, int stateSteps) {
    how.put("epochs", training.epochs());
    how.put("batch_size", training.batchSize());
    how.put("learning_rate", training.learningRate());
    how.put("weight_decay", training.weightDecay());
    how.put("schedule", training.schedule().name().toLowerCase(Locale.ROOT));
    how.put("warmup_ratio", training.warmupRatio());
    how.put("warmup_steps", training.warmupSteps());
    how.put("patience", training.patience());
    how.put("clip_norm", training.clipNorm());
    how.put("shuffle", training.shuffle());
    how.put("max_length", training.maxLength());
    how.put("seed", training.seed());
    how.put("state_steps", stateSteps);
  }
}
