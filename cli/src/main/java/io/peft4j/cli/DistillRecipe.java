package io.peft4j.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.MethodRecipes;
import io.peft4j.compress.distill.Distillation;
import io.peft4j.compress.distill.InnerMatches;
import io.peft4j.compress.distill.SoftTargets;
import io.peft4j.compress.distill.Student;
import io.peft4j.data.DataFiles;
import io.peft4j.train.Recipe;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What {@code peft4j distill} is asked to do.
 *
 * @param teacherAdapter merged into the teacher first; null if it is whole
 * @param answers the folder that the teacher's answers are kept in
 * @param distillation what is learned and how, without further texts
 * @param further the texts that are made further
 * @param train rows with labels, or some of them, or none
 * @param unlabelled further rows, whose labels are not looked at; null for none
 * @param validation judged after each epoch to keep the best; null to keep the last
 * @param test judged once at the end, by teacher and student; null for none
 */
record DistillRecipe(
    Path teacher,
    @Nullable Path teacherAdapter,
    Path output,
    Path answers,
    Student student,
    Distillation distillation,
    AugmentationKeys further,
    Path train,
    @Nullable Path unlabelled,
    @Nullable Path validation,
    @Nullable Path test,
    DataFiles.Columns columns,
    Recipe training,
    int stateSteps) {

  /** The folder within the output that answers are kept in unless another is given. */
  static final String ANSWERS = "answers";

  private static final List<String> KEYS =
      Stream.of(
              List.of("teacher", "teacher_adapter", "output", ANSWERS),
              StudentKeys.all(),
              TrainRecipe.keys("adapter"),
              List.of(
                  "loss.temperature",
                  "loss.alpha",
                  "loss.features",
                  "loss.hidden",
                  "loss.relations",
                  "loss.attention",
                  "loss.heads",
                  "loss.distance",
                  "data.unlabelled"),
              AugmentationKeys.ALL,
              TrainRecipe.keys("data"),
              TrainRecipe.keys("training"))
          .flatMap(List::stream)
          .toList();

  /**
   * Reads a recipe.
   *
   * @param settings {@code key=value} that take the place of the file's
   * @throws RecipeException with file, line, key and what is allowed
   */
  static DistillRecipe read(Path file, List<String> settings) {
    RecipeKeys keys = RecipeKeys.read(file, KEYS, settings);
    try {
      Student student = StudentKeys.read(keys);
      AugmentationKeys further = AugmentationKeys.read(keys);
      Path output = Path.of(keys.required("output"));
      Path answers = TrainRecipe.path(keys, ANSWERS);
      String second = keys.text("data.second", "");
      return new DistillRecipe(
          Path.of(keys.required("teacher")),
          TrainRecipe.path(keys, "teacher_adapter"),
          output,
          answers == null ? output.resolve(ANSWERS) : answers,
          student,
          distillation(keys, further),
          further,
          Path.of(keys.required("data.train")),
          TrainRecipe.path(keys, "data.unlabelled"),
          TrainRecipe.path(keys, "data.validation"),
          TrainRecipe.path(keys, "data.test"),
          new DataFiles.Columns(
              keys.text("data.text", "text"),
              second.isEmpty() ? null : second,
              keys.text("data.label", "label")),
          TrainRecipe.training(keys, student.recipe()),
          TrainRecipe.stateSteps(keys));
    } catch (RecipeException e) {
      throw TrainRecipe.placed(keys, KEYS, e);
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
        List.of(
            StudentKeys::read,
            DistillRecipe::method,
            DistillRecipe::targets,
            DistillRecipe::inner,
            own -> AugmentationKeys.read(own).augmentation(0),
            own -> TrainRecipe.training(own, Recipe.standard()),
            TrainRecipe::stateSteps);
    for (Consumer<RecipeKeys> part : parts) {
      try {
        part.accept(keys);
      } catch (RecipeException e) {
        RecipeException placed = TrainRecipe.placed(keys, KEYS, e);
        if (RecipeKeys.isSetting(String.valueOf(placed.getMessage()))) {
          throw placed; // what else is wrong, the recipe may put right
        }
      }
    }
  }

  private static Distillation distillation(RecipeKeys keys, AugmentationKeys further) {
    return new Distillation(targets(keys), inner(keys), method(keys), further.augmentation(0));
  }

  /**
   * The distillation, with as many further texts as the recipe says or as suit.
   *
   * @param rows of the training data
   */
  Distillation distillation(int rows) {
    return distillation.augmenting(further.augmentation(student.copies(rows)));
  }

  private static SoftTargets targets(RecipeKeys keys) {
    SoftTargets standard = SoftTargets.standard();
    return new SoftTargets(
        keys.number("loss.temperature", standard.temperature()),
        keys.number("loss.alpha", standard.alpha()));
  }

  private static InnerMatches inner(RecipeKeys keys) {
    InnerMatches standard = InnerMatches.none();
    return new InnerMatches(
        keys.number("loss.features", standard.features()),
        keys.number("loss.hidden", standard.hidden()),
        keys.number("loss.relations", standard.relations()),
        keys.number("loss.attention", standard.attention()),
        keys.whole("loss.heads", standard.heads()),
        keys.choice("loss.distance", standard.distance()));
  }

  /** What trains of the student; null for all of it. */
  private static @Nullable AdapterMethod method(RecipeKeys keys) {
    if (TrainRecipe.keys("adapter").stream().noneMatch(keys::has)) {
      return null;
    }
    TrainRecipe.refuseKeysOfOtherMethods(keys);
    return TrainRecipe.method(keys);
  }

  /** The recipe with all values that were in force, as YAML keys. */
  ObjectNode resolved() {
    ObjectNode root = new ObjectMapper().createObjectNode();
    root.put("teacher", teacher.toString());
    root.put("teacher_adapter", teacherAdapter == null ? null : teacherAdapter.toString());
    root.put("output", output.toString());
    root.put(ANSWERS, answers.toString());
    StudentKeys.put(root.putObject("student"), student);
    AdapterMethod trains = distillation.trains();
    if (trains != null) {
      ObjectNode adapter = root.putObject("adapter");
      adapter.put("method", trains.name());
      MethodRecipes.of(trains).write(trains).forEach(adapter::putPOJO);
    }
    ObjectNode loss = root.putObject("loss");
    loss.put("temperature", distillation.targets().temperature());
    loss.put("alpha", distillation.targets().alpha());
    InnerMatches inner = distillation.inner();
    loss.put("features", inner.features());
    loss.put("hidden", inner.hidden());
    loss.put("relations", inner.relations());
    loss.put("attention", inner.attention());
    loss.put("heads", inner.heads());
    loss.put("distance", inner.distance().name().toLowerCase(Locale.ROOT));
    further.put(root.putObject("augmentation"));
    ObjectNode data = root.putObject("data");
    data.put("train", train.toString());
    data.put("unlabelled", unlabelled == null ? null : unlabelled.toString());
    data.put("validation", validation == null ? null : validation.toString());
    data.put("test", test == null ? null : test.toString());
    data.put("text", columns.text());
    data.put("second", columns.second());
    data.put("label", columns.label());
    TrainRecipe.putTraining(root.putObject("training"), training, stateSteps);
    return root;
  }
}
