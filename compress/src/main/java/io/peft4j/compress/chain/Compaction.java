package io.peft4j.compress.chain;

import io.peft4j.PretrainedModel;
import io.peft4j.compress.distill.Augmentation;
import io.peft4j.compress.distill.Distillation;
import io.peft4j.compress.distill.FeedForwardStudent;
import io.peft4j.compress.distill.LayerChoice;
import io.peft4j.compress.distill.LayerStudent;
import io.peft4j.compress.distill.Student;
import io.peft4j.compress.distill.Teacher;
import io.peft4j.compress.prune.Pruning;
import io.peft4j.compress.prune.Recovery;
import io.peft4j.compress.prune.Structure;
import io.peft4j.compress.prune.Target;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextTokenizer;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * How a merged classifier becomes small. All stages start from the merged model: it is what
 * students learn from, what pruning is won back against, and what is quantised. A stage that is
 * null is left out.
 *
 * @param pruning neurons of feed-forward blocks go, and training wins back what that cost
 * @param student a transformer of fewer layers
 * @param feedForward a network without attention, on the vectors of tokens
 * @param int8 the merged model, and the student where there is one, quantised
 */
public record Compaction(
    @Nullable PruningStage pruning,
    @Nullable StudentStage student,
    @Nullable StudentStage feedForward,
    @Nullable Int8Stage int8) {

  /**
   * Pruning, and the training after each step of it.
   *
   * @param share of the neurons that goes, from 0 to below 1
   */
  public record PruningStage(double share, int steps, Distillation recovery, Recipe recipe) {
    /** 30 % of the neurons in one step. */
    public static PruningStage standard() {
      Recipe recipe = Recipe.builder().optEpochs(4).optLearningRate(1e-4).build();
      return new PruningStage(0.3, 1, Distillation.standard(), recipe);
    }
  }

  /**
   * A student, and how it learns.
   *
   * @param copies further texts for each row; null for as many as suit the number of rows
   */
  public record StudentStage(
      Student student, Distillation distillation, @Nullable Integer copies, Recipe recipe) {
    /** Half of the layers of a small encoder, each with 30 % fewer neurons. */
    public static StudentStage shallower() {
      return of(new LayerStudent(3, LayerChoice.SPREAD, 0.3));
    }

    /** The vectors that the teacher gives for each token alone. */
    public static StudentStage feedForward() {
      return of(FeedForwardStudent.standard());
    }

    private static StudentStage of(Student student) {
      return new StudentStage(student, Distillation.standard(), null, student.recipe());
    }

    private PretrainedModel learn(
        Teacher teacher,
        TextTokenizer tokenizer,
        Dataset train,
        @Nullable Dataset validation,
        TrainingListener listener) {
      int further = copies == null ? student.copies(train.size()) : copies;
      PretrainedModel start = student.build(teacher, train, recipe.seed());
      return distillation
          .augmenting(Augmentation.standard(further))
          .distil(
              Trainer.with(recipe).listening(listener),
              teacher,
              start,
              tokenizer,
              train,
              validation)
          .model();
    }
  }

  /**
   * A model of the chain.
   *
   * @param name the stage's, which its file and its row are called after
   */
  public record Stage(String name, PretrainedModel model) {}

  /** What suits a few hundred to a few thousand rows. */
  public static Compaction standard() {
    return new Compaction(
        PruningStage.standard(),
        StudentStage.shallower(),
        StudentStage.feedForward(),
        Int8Stage.standard());
  }

  /**
   * Makes the models, the merged one first.
   *
   * @param tokenizer of all of them
   * @param train rows with labels of the merged model
   * @param validation rows to keep the best epoch of each training by; null to keep the last
   * @param progress told what is being done, a line a stage
   */
  public List<Stage> run(
      PretrainedModel merged,
      TextTokenizer tokenizer,
      Dataset train,
      @Nullable Dataset validation,
      Consumer<String> progress,
      TrainingListener listener) {
    Teacher teacher = new Teacher(merged, tokenizer);
    List<Stage> stages = new ArrayList<>(List.of(new Stage("merged", merged)));
    if (pruning != null) {
      progress.accept(
          "pruning %.0f %% of the feed-forward neurons, and training on"
              .formatted(100 * pruning.share()));
      Pruning way =
          Pruning.of(Target.share(pruning.share()), Structure.NEURONS)
              .inSteps(pruning.steps())
              .recovering(Recovery.distillation(pruning.recovery(), pruning.recipe()));
      stages.add(
          new Stage("pruned", way.prune(merged, tokenizer, train, validation, listener).model()));
    }
    if (student != null) {
      progress.accept("distilling into fewer layers");
      stages.add(
          new Stage("student", student.learn(teacher, tokenizer, train, validation, listener)));
    }
    if (feedForward != null) {
      progress.accept("distilling into a feed-forward network");
      stages.add(
          new Stage(
              "feedforward", feedForward.learn(teacher, tokenizer, train, validation, listener)));
    }
    if (int8 != null) {
      progress.accept("quantising to int8");
      for (Stage stage : List.copyOf(stages)) {
        if (stage.name().equals("merged") || stage.name().equals("student")) {
          String name = stage.name().equals("merged") ? "int8" : "student-int8";
          stages.add(new Stage(name, int8.apply(stage.model(), tokenizer, train)));
        }
      }
    }
    return stages;
  }
}
