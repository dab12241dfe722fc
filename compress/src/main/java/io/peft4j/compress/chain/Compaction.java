package io.peft4j.compress.chain;

import io.peft4j.PretrainedModel;
import io.peft4j.compress.distill.Augmentation;
import io.peft4j.compress.distill.Distillation;
import io.peft4j.compress.distill.FeedForwardStudent;
import io.peft4j.compress.distill.LayerChoice;
import io.peft4j.compress.distill.LayerStudent;
import io.peft4j.compress.distill.Teacher;
import io.peft4j.compress.prune.Pruning;
import io.peft4j.compress.prune.Recovery;
import io.peft4j.compress.prune.Structure;
import io.peft4j.compress.prune.Target;
import io.peft4j.compress.quantize.DynamicInt8;
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
 * @param int8 whether the merged model, and the student where there is one, are quantised
 */
public record Compaction(
    @Nullable PruningStage pruning,
    @Nullable StudentStage student,
    @Nullable FeedForwardStage feedForward,
    boolean int8) {

  /**
   * @param share of the neurons that goes, from 0 to below 1
   */
  public record PruningStage(double share, int steps, Distillation recovery, Recipe recipe) {}

  /** A shallower transformer, and how it learns. */
  public record StudentStage(LayerStudent student, Distillation distillation, Recipe recipe) {}

  /** A network without attention, and how it learns. */
  public record FeedForwardStage(
      FeedForwardStudent student, Distillation distillation, Recipe recipe) {}

  /**
   * A model of the chain.
   *
   * @param name the stage's, which its file and its row are called after
   */
  public record Stage(String name, PretrainedModel model) {}

  /** What suits a few hundred to a few thousand rows: 30 % of the neurons, half of the layers. */
  public static Compaction standard() {
    return new Compaction(
        new PruningStage(0.3, 1, Distillation.standard(), recipe(4, 16, 1e-4)),
        new StudentStage(
            new LayerStudent(3, LayerChoice.IMPORTANCE, 0),
            Distillation.standard().augmenting(Augmentation.standard(2)),
            recipe(6, 16, 2e-4)),
        new FeedForwardStage(
            FeedForwardStudent.standard(),
            Distillation.standard().augmenting(Augmentation.standard(8)),
            FeedForwardStudent.standard().recipe()),
        true);
  }

  private static Recipe recipe(int epochs, int batch, double rate) {
    return Recipe.builder().optEpochs(epochs).optBatchSize(batch).optLearningRate(rate).build();
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
    List<Stage> stages = new ArrayList<>();
    stages.add(new Stage("merged", merged));
    if (pruning != null) {
      progress.accept(
          "pruning %.0f %% of the feed-forward neurons, and training on"
              .formatted(100 * pruning.share()));
      stages.add(
          new Stage(
              "pruned",
              Pruning.of(Target.share(pruning.share()), Structure.NEURONS)
                  .inSteps(pruning.steps())
                  .recovering(Recovery.distillation(pruning.recovery(), pruning.recipe()))
                  .prune(merged, tokenizer, train, validation, listener)
                  .model()));
    }
    if (student != null) {
      progress.accept("distilling into %d layers".formatted(student.student().layers()));
      PretrainedModel start = student.student().build(teacher, train, student.recipe().seed());
      stages.add(
          new Stage(
              "student",
              student
                  .distillation()
                  .distil(
                      Trainer.with(student.recipe()).listening(listener),
                      teacher,
                      start,
                      tokenizer,
                      train,
                      validation)
                  .model()));
    }
    if (feedForward != null) {
      progress.accept("distilling into a feed-forward network");
      Recipe recipe = feedForward.recipe();
      PretrainedModel start = feedForward.student().build(teacher, train, recipe.seed());
      stages.add(
          new Stage(
              "feedforward",
              feedForward
                  .distillation()
                  .distil(
                      Trainer.with(recipe).listening(listener),
                      teacher,
                      start,
                      tokenizer,
                      train,
                      validation)
                  .model()));
    }
    if (int8) {
      progress.accept("quantising to int8");
      for (Stage stage : List.copyOf(stages)) {
        if (stage.name().equals("merged")) {
          stages.add(new Stage("int8", quantized(stage.model())));
        } else if (stage.name().equals("student")) {
          stages.add(new Stage("student-int8", quantized(stage.model())));
        }
      }
    }
    return stages;
  }

  private static PretrainedModel quantized(PretrainedModel model) {
    return new PretrainedModel(
        model.checkpoint().withGraph(DynamicInt8.standard().apply(model.graph()).graph()));
  }
}
