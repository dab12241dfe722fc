package io.peft4j.compress.distill;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Value;
import io.peft4j.task.Pooling;
import io.peft4j.train.Trainer;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Trains a sentence encoder to give its teacher's vectors; texts need no labels.
 *
 * @param distance between the vectors of a text
 * @param pooling how both make one vector of their tokens'
 * @param trains what of the student trains; null for all of it, where of the table of tokens only
 *     those rows train that the texts pick
 * @param augmentation further texts
 */
public record EmbeddingDistillation(
    Distance distance, Pooling pooling, @Nullable AdapterMethod trains, Augmentation augmentation) {

  /** By the cosine of mean-pooled vectors. */
  public static EmbeddingDistillation standard() {
    return new EmbeddingDistillation(Distance.COSINE, Pooling.MEAN, null, Augmentation.none());
  }

  /**
   * Trains, and gives the student as a model whose only output are pooled vectors, {@link
   * Pooling#FEATURES} [batch, size].
   *
   * @param teacher an encoder with an output [batch, sequence, size]
   * @param student likewise, of the same size
   * @param tokenizer of both
   * @throws PeftException if the two give vectors of different sizes
   */
  public PretrainedModel distil(
      Trainer trainer,
      PretrainedModel teacher,
      PretrainedModel student,
      TextTokenizer tokenizer,
      Dataset texts) {
    Graph theirs = pooling.features(teacher.graph());
    Graph own = pooling.features(student.graph());
    if (!size(theirs).equals(size(own))) {
      throw new PeftException(
          "the teacher gives vectors of size %s, the student of %s; give a student of the teacher's size"
              .formatted(size(theirs), size(own)));
    }
    Dataset all = augmentation.apply(texts, trainer.recipe().seed());
    BatchSource read = new TextBatches(all, new long[0], tokenizer, theirs.requiredInputs());
    Answers answers =
        Teacher.ask(
            theirs, read, Map.of(Teacher.FEATURES, new Teacher.Question(Pooling.FEATURES, false)));
    BatchSource rows = new TextBatches(all, new long[0], tokenizer, own.requiredInputs());
    PretrainedModel encoder = new PretrainedModel(student.checkpoint().withGraph(own));
    AdaptedModel model =
        encoder.attach(
            trains == null ? Distillation.all(own, rows) : trains, trainer.recipe().seed());
    DistillationTerm term =
        new VectorMatch(distance, Pooling.FEATURES, Teacher.FEATURES, null, false);
    DistillationLoss loss = new DistillationLoss(List.of(new DistillationLoss.Part(term, 1)));
    trainer.fit(model, answers.with(rows), null, loss, Pooling.FEATURES);
    return model.merge().model();
  }

  private static Dim size(Graph features) {
    Value output = features.outputs().get(0);
    List<Dim> shape = output.shape();
    if (shape == null) {
      throw new PeftException("output '%s' has no declared shape".formatted(output.name()));
    }
    return shape.get(shape.size() - 1);
  }
}
