package io.peft4j.train;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Value;
import io.peft4j.task.Loss;
import io.peft4j.task.PooledHead;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Fine-tunes an adapted model. */
public final class Trainer {
  private final Recipe recipe;
  private final TrainingListener listener;

  private Trainer(Recipe recipe, TrainingListener listener) {
    this.recipe = recipe;
    this.listener = listener;
  }

  public static Trainer with(Recipe recipe) {
    return new Trainer(recipe, TrainingListener.NONE);
  }

  /** The same trainer, reporting to a listener. */
  public Trainer listening(TrainingListener newListener) {
    return new Trainer(recipe, newListener);
  }

  /**
   * Trains a text classifier. A model without class scores gets a head on its pooled features
   * first. Afterwards the model has the values of the epoch that was most accurate on the
   * validation set.
   *
   * @param model changed in place
   * @param train rows with labels, which are the classes unless the model names its own
   * @param validation rows with labels that all occur in training; null to keep the last epoch
   * @throws PeftException if a label is unknown, a row has none, or the loss is not finite; the
   *     model is then as before
   */
  public TrainingResult fit(AdaptedModel model, Dataset train, @Nullable Dataset validation) {
    List<String> labels = labels(model, train);
    long[] trainLabels = train.labelIds(labels);
    long[] validationLabels = validation == null ? new long[0] : validation.labelIds(labels);
    if (!hasLogits(model.graph())) {
      model.addHead(
          new PooledHead(recipe.pooling(), labels.size(), recipe.headDropout()),
          labels,
          recipe.seed());
    }
    model.nameLabels(labels);
    try (TextTokenizer tokenizer = model.base().tokenizer(recipe.maxLength())) {
      List<String> inputs = new ArrayList<>(model.graph().requiredInputs());
      inputs.add(TextBatches.LABELS);
      BatchSource batches = new TextBatches(train, trainLabels, tokenizer, inputs);
      BatchSource judged =
          validation == null
              ? null
              : new TextBatches(validation, validationLabels, tokenizer, inputs);
      return fit(model, batches, judged, Loss.CROSS_ENTROPY, PooledHead.LOGITS);
    }
  }

  /**
   * Trains on prepared batches.
   *
   * @param logits the output that the loss judges
   */
  public TrainingResult fit(
      AdaptedModel model,
      BatchSource train,
      @Nullable BatchSource validation,
      Loss loss,
      String logits) {
    try (TrainingLoop loop = new TrainingLoop(model.graph(), logits, loss, recipe, listener)) {
      TrainingLoop.Outcome outcome = loop.run(train, validation);
      model.update(outcome.values());
      return outcome.result();
    }
  }

  private static boolean hasLogits(Graph graph) {
    return graph.outputs().stream().anyMatch(v -> v.name().equals(PooledHead.LOGITS));
  }

  private static List<String> labels(AdaptedModel model, Dataset train) {
    List<String> found = train.labels();
    List<Dim> shape =
        model.graph().outputs().stream()
            .filter(v -> v.name().equals(PooledHead.LOGITS))
            .findFirst()
            .map(Value::shape)
            .orElse(null);
    if (shape == null) {
      return found;
    }
    if (model.labels().containsAll(found)) {
      return model.labels();
    }
    Dim classes = shape.get(shape.size() - 1);
    if (classes.isFixed() && classes.size() != found.size()) {
      throw new PeftException(
          "the model scores %s classes, but %s has %d labels; use a model with %d, or an encoder without a head"
              .formatted(classes, train.name(), found.size(), found.size()));
    }
    return found;
  }
}
