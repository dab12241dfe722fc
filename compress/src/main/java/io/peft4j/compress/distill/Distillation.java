package io.peft4j.compress.distill;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Evaluation;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Trains a student classifier on a teacher's scores. The teacher answers each row once.
 *
 * @param targets the loss
 * @param trains what of the student trains, for example {@code FreezeMask.all()} or a LoRA
 * @param recipe how it trains
 */
public record Distillation(SoftTargets targets, AdapterMethod trains, Recipe recipe) {

  /**
   * Trains and gives the student with its new weights.
   *
   * @param teacher a classifier whose first scores are {@code logits}
   * @param student likewise, with the same classes
   * @param tokenizer of both
   * @param train rows with labels
   * @param validation rows to keep the best epoch by; null to keep the last
   * @throws PeftException if the two score different numbers of classes
   */
  public PretrainedModel distil(
      PretrainedModel teacher,
      PretrainedModel student,
      TextTokenizer tokenizer,
      Dataset train,
      @Nullable Dataset validation,
      TrainingListener listener) {
    List<String> labels = teacher.checkpoint().labels();
    float[][] scores = scores(teacher.graph(), rows(train, labels, tokenizer, teacher.graph()));
    float[][] start = scores(student.graph(), rows(train, labels, tokenizer, student.graph()));
    if (scores[0].length != start[0].length) {
      throw new PeftException(
          "the teacher scores %d classes, the student %d; give the student a head for the teacher's labels"
              .formatted(scores[0].length, start[0].length));
    }
    AdaptedModel model = student.attach(trains, recipe.seed());
    BatchSource taught =
        new TeacherBatches(trainingRows(train, labels, tokenizer, student.graph()), scores);
    BatchSource judged =
        validation == null ? null : trainingRows(validation, labels, tokenizer, student.graph());
    Trainer.with(recipe).listening(listener).fit(model, taught, judged, targets, PooledHead.LOGITS);
    return model.merge().model();
  }

  private static BatchSource rows(
      Dataset data, List<String> labels, TextTokenizer tokenizer, Graph graph) {
    return new TextBatches(data, data.labelIds(labels), tokenizer, graph.requiredInputs());
  }

  private static BatchSource trainingRows(
      Dataset data, List<String> labels, TextTokenizer tokenizer, Graph graph) {
    List<String> inputs = new ArrayList<>(graph.requiredInputs());
    inputs.add(TextBatches.LABELS);
    return new TextBatches(data, data.labelIds(labels), tokenizer, inputs);
  }

  private static float[][] scores(Graph graph, BatchSource rows) {
    try (Program program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return Evaluation.scores(program, rows, PooledHead.LOGITS);
    }
  }
}
