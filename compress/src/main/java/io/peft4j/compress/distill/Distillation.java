package io.peft4j.compress.distill;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.Sites;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingResult;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Trains a student classifier on what a teacher says of texts, with labels and without.
 *
 * @param targets the loss on the scores
 * @param inner what else is compared
 * @param trains what of the student trains; null for all of it, where of the table of tokens only
 *     those rows train that the texts pick
 * @param augmentation further texts for the teacher to speak of
 */
public record Distillation(
    SoftTargets targets,
    InnerMatches inner,
    @Nullable AdapterMethod trains,
    Augmentation augmentation) {

  /**
   * A trained student.
   *
   * @param model with its new weights and the teacher's labels
   * @param texts how many texts it learned from, further ones included
   */
  public record Result(PretrainedModel model, TrainingResult training, int texts) {}

  /** The teacher's scores at temperature 2, all of the student, no further texts. */
  public static Distillation standard() {
    return new Distillation(SoftTargets.standard(), InnerMatches.none(), null, Augmentation.none());
  }

  /** The same with other further texts. */
  public Distillation augmenting(Augmentation other) {
    return new Distillation(targets, inner, trains, other);
  }

  /** The same with other things that are compared beside the scores. */
  public Distillation comparing(InnerMatches other) {
    return new Distillation(targets, other, trains, augmentation);
  }

  /**
   * Trains.
   *
   * @param trainer how; its listener is told, its states are written
   * @param student with the teacher's classes in its order
   * @param tokenizer the student's
   * @param train rows with labels of the teacher or without
   * @param validation rows with labels to keep the best epoch by; null to keep the last
   * @throws PeftException if a label is none of the teacher's, or the two do not fit together
   */
  public Result distil(
      Trainer trainer,
      Teacher teacher,
      PretrainedModel student,
      TextTokenizer tokenizer,
      Dataset train,
      @Nullable Dataset validation) {
    BatchSource judged =
        validation == null
            ? null
            : rows(validation, validation.labelIds(teacher.labels()), tokenizer, student);
    Dataset texts = augmentation.apply(train, trainer.recipe().seed());
    Lesson lesson = new Lesson(teacher, student.graph(), targets, inner, trainer.recipe().seed());
    BatchSource rows = rows(texts, labels(texts, teacher.labels()), tokenizer, student);
    BatchSource taught = teacher.answers(texts, lesson.questions()).with(rows);
    AdapterMethod method = lesson.with(method(student, rows));
    AdaptedModel model = student.attach(method, trainer.recipe().seed());
    model.nameLabels(teacher.labels());
    DistillationLoss loss = lesson.loss(model.graph());
    TrainingResult result = trainer.fit(model, taught, judged, loss, PooledHead.LOGITS);
    return new Result(model.merge().model(), result, texts.size());
  }

  /**
   * Trains on prepared rows, of plain features for example, by the scores alone.
   *
   * @param student with the output {@code logits}
   * @param rows as the student reads them, with labels; {@link SoftTargets#UNLABELLED} for none
   * @param answers the teacher's scores of the rows, under {@link SoftTargets#TEACHER}
   * @param validation rows to keep the best epoch by; null to keep the last
   */
  public Result distil(
      Trainer trainer,
      PretrainedModel student,
      BatchSource rows,
      Answers answers,
      @Nullable BatchSource validation) {
    AdaptedModel model = student.attach(method(student, rows), trainer.recipe().seed());
    DistillationLoss loss = new DistillationLoss(List.of(new DistillationLoss.Part(targets, 1)));
    TrainingResult result =
        trainer.fit(model, answers.with(rows), validation, loss, PooledHead.LOGITS);
    return new Result(model.merge().model(), result, rows.size());
  }

  private AdapterMethod method(PretrainedModel student, BatchSource rows) {
    return trains == null ? all(student.graph(), rows) : trains;
  }

  /** Everything, but of the table of tokens only the rows that the texts pick. */
  static AdapterMethod all(Graph graph, BatchSource rows) {
    EmbeddingSite table =
        Sites.of(graph).embeddings().stream()
            .filter(site -> site.indices().equals(FeedForwardStudent.IDS))
            .findFirst()
            .orElse(null);
    if (table == null) {
      return FreezeMask.all();
    }
    TreeSet<Long> seen = new TreeSet<>();
    for (int row = 0; row < rows.size(); row++) {
      Tensor ids = rows.batch(new int[] {row}).get(FeedForwardStudent.IDS);
      for (long id : ids == null ? new long[0] : ids.toLongs()) {
        seen.add(id);
      }
    }
    List<String> others =
        graph.parameters().stream().filter(name -> !name.equals(table.weight())).toList();
    return new SeenTokens(FreezeMask.named(others), table.weight(), List.copyOf(seen));
  }

  private static BatchSource rows(
      Dataset data, long[] labels, TextTokenizer tokenizer, PretrainedModel student) {
    List<String> inputs = new ArrayList<>(student.graph().requiredInputs());
    inputs.add(TextBatches.LABELS);
    return new TextBatches(data, labels, tokenizer, inputs);
  }

  private static long[] labels(Dataset data, List<String> known) {
    long[] ids = new long[data.size()];
    for (int i = 0; i < ids.length; i++) {
      Example row = data.examples().get(i);
      boolean labelled = row.label() != null && !row.label().isEmpty();
      ids[i] =
          labelled
              ? new Dataset(data.name(), List.of(row)).labelIds(known)[0]
              : SoftTargets.UNLABELLED;
    }
    return ids;
  }
}
