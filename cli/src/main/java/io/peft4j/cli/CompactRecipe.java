package io.peft4j.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.RecipeException;
import io.peft4j.compress.chain.Compaction;
import io.peft4j.compress.chain.Int8Stage;
import io.peft4j.compress.distill.Distillation;
import io.peft4j.compress.distill.FeedForwardStudent;
import io.peft4j.compress.distill.LayerChoice;
import io.peft4j.compress.distill.LayerStudent;
import io.peft4j.compress.distill.Student;
import io.peft4j.train.Recipe;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * What {@code peft4j compact} is asked to do.
 *
 * @param training of the adapter, with test data
 * @param compaction what is made of the merged model
 */
record CompactRecipe(TrainRecipe training, Compaction compaction) {
  private static final String STAGES = "stages";
  private static final List<String> KNOWN_STAGES =
      List.of("pruned", "student", "feedforward", "int8");

  private static final int LAYERS = 3;
  private static final double PRUNED = 0.3;

  private static final List<String> KEYS =
      Stream.concat(
              TrainRecipe.keys().stream(),
              Stream.of(
                  STAGES,
                  "prune.share",
                  "prune.steps",
                  "prune.epochs",
                  "prune.learning_rate",
                  "student.layers",
                  "student.choice",
                  "student.pruned",
                  "student.copies",
                  "student.epochs",
                  "student.learning_rate",
                  "feed_forward.copies",
                  "feed_forward.epochs",
                  "feed_forward.learning_rate",
                  "int8.smoothing",
                  "int8.bytes",
                  "int8.rows"))
          .toList();

  /**
   * Reads a recipe.
   *
   * @param settings {@code key=value} that take the place of the file's
   * @throws RecipeException with file, line, key and what is allowed
   */
  static CompactRecipe read(Path file, List<String> settings) {
    RecipeKeys keys = RecipeKeys.read(file, KEYS, settings);
    TrainRecipe training = TrainRecipe.of(keys);
    if (training.test() == null) {
      throw new RecipeException(
          file + ": data.test is missing; it is what the models are measured on");
    }
    return new CompactRecipe(training, compaction(keys, training.training()));
  }

  private static Compaction compaction(RecipeKeys keys, Recipe training) {
    List<String> stages = keys.has(STAGES) ? keys.texts(STAGES) : KNOWN_STAGES;
    for (String stage : stages) {
      if (!KNOWN_STAGES.contains(stage)) {
        throw new RecipeException(
            "%s: there is no stage '%s'; there are %s"
                .formatted(keys.place(STAGES), stage, String.join(", ", KNOWN_STAGES)));
      }
    }
    return new Compaction(
        stages.contains("pruned") ? pruning(keys, training) : null,
        stages.contains("student") ? student(keys, training) : null,
        stages.contains("feedforward")
            ? learning(keys, "feed_forward", FeedForwardStudent.standard(), training)
            : null,
        stages.contains("int8") ? int8(keys) : null);
  }

  private static Compaction.PruningStage pruning(RecipeKeys keys, Recipe training) {
    Compaction.PruningStage standard = Compaction.PruningStage.standard();
    return new Compaction.PruningStage(
        keys.number("prune.share", standard.share()),
        keys.whole("prune.steps", standard.steps()),
        standard.recovery(),
        recipe(keys, "prune", training, standard.recipe()));
  }

  private static Compaction.StudentStage student(RecipeKeys keys, Recipe training) {
    int layers = keys.whole("student.layers", LAYERS);
    LayerChoice choice = keys.choice("student.choice", LayerChoice.SPREAD);
    try {
      return learning(
          keys,
          "student",
          new LayerStudent(layers, choice, keys.number("student.pruned", PRUNED)),
          training);
    } catch (RecipeException e) {
      throw named("student", e);
    }
  }

  private static Compaction.StudentStage learning(
      RecipeKeys keys, String section, Student student, Recipe training) {
    String copies = section + ".copies";
    return new Compaction.StudentStage(
        student,
        Distillation.standard(),
        keys.has(copies) ? keys.whole(copies, 0) : null,
        recipe(keys, section, training, student.recipe()));
  }

  private static RecipeException named(String section, RecipeException e) {
    String message = String.valueOf(e.getMessage());
    return message.startsWith(section) ? e : new RecipeException(section + ": " + message, e);
  }

  private static Int8Stage int8(RecipeKeys keys) {
    Int8Stage standard = Int8Stage.standard();
    return new Int8Stage(
        keys.flag("int8.smoothing", standard.smoothing()),
        keys.number("int8.bytes", standard.bytes()),
        keys.whole("int8.rows", standard.rows()));
  }

  /** A stage's own training: what the section does not say is the stage's, or the user's. */
  private static Recipe recipe(RecipeKeys keys, String section, Recipe training, Recipe standard) {
    try {
      return Recipe.builder()
          .optEpochs(keys.whole(section + ".epochs", standard.epochs()))
          .optLearningRate(keys.number(section + ".learning_rate", standard.learningRate()))
          .optBatchSize(standard.batchSize())
          .optMaxLength(training.maxLength())
          .optSeed(training.seed())
          .build();
    } catch (RecipeException e) {
      throw named(section, e);
    }
  }

  /** The recipe with all values that were in force, as YAML keys. */
  ObjectNode resolved() {
    ObjectNode root = training.resolved();
    var stages = root.putArray(STAGES);
    Compaction.PruningStage pruning = compaction.pruning();
    if (pruning != null) {
      stages.add("pruned");
      ObjectNode section = root.putObject("prune");
      section.put("share", pruning.share());
      section.put("steps", pruning.steps());
      put(section, pruning.recipe());
    }
    Compaction.StudentStage student = compaction.student();
    if (student != null) {
      stages.add("student");
      ObjectNode section = root.putObject("student");
      if (student.student() instanceof LayerStudent layers) {
        section.put("layers", layers.layers());
        section.put("choice", layers.choice().name().toLowerCase(Locale.ROOT));
        section.put("pruned", layers.pruned());
      }
      section.put("copies", student.copies());
      put(section, student.recipe());
    }
    Compaction.StudentStage feedForward = compaction.feedForward();
    if (feedForward != null) {
      stages.add("feedforward");
      ObjectNode section = root.putObject("feed_forward");
      section.put("copies", feedForward.copies());
      put(section, feedForward.recipe());
    }
    Int8Stage int8 = compaction.int8();
    if (int8 != null) {
      stages.add("int8");
      ObjectNode section = root.putObject("int8");
      section.put("smoothing", int8.smoothing());
      section.put("bytes", int8.bytes());
      section.put("rows", int8.rows());
    }
    return root;
  }

  private static void put(ObjectNode section, Recipe recipe) {
    section.put("epochs", recipe.epochs());
    section.put("learning_rate", recipe.learningRate());
  }
}
