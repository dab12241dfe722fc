package io.peft4j.train;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.Version;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.format.ContentHash;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Value;
import io.peft4j.task.Loss;
import io.peft4j.task.Objective;
import io.peft4j.task.PooledHead;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Fine-tunes an adapted model. */
public final class Trainer {
  private final Recipe recipe;
  private final TrainingListener listener;

  private final @Nullable Path stateFolder;
  private final int stateSteps;
  private final boolean resumes;

  private Trainer(
      Recipe recipe,
      TrainingListener listener,
      @Nullable Path stateFolder,
      int stateSteps,
      boolean resumes) {
    this.recipe = recipe;
    this.listener = listener;
    this.stateFolder = stateFolder;
    this.stateSteps = stateSteps;
    this.resumes = resumes;
  }

  public static Trainer with(Recipe recipe) {
    return new Trainer(recipe, TrainingListener.NONE, null, 0, false);
  }

  public Recipe recipe() {
    return recipe;
  }

  /** The same trainer, reporting to a listener. */
  public Trainer listening(TrainingListener newListener) {
    return new Trainer(recipe, newListener, stateFolder, stateSteps, resumes);
  }

  /**
   * The same trainer, which writes what it needs to be resumed into a folder after each epoch; only
   * the newest state is kept.
   *
   * @param everySteps a state is also written after each of so many steps; 0 for epochs only
   */
  public Trainer checkpointing(Path folder, int everySteps) {
    if (everySteps < 0) {
      throw new RecipeException("everySteps must not be negative, was " + everySteps);
    }
    return new Trainer(recipe, listener, folder, everySteps, false);
  }

  /**
   * As {@link #checkpointing}, and the training goes on from the newest state in the folder. On the
   * same machine the values, losses and metrics are bit for bit those of a training that never
   * stopped. Fitting fails if there is no state, or if recipe, model or data differ from those that
   * the state was written with.
   */
  public Trainer resuming(Path folder, int everySteps) {
    Trainer writing = checkpointing(folder, everySteps);
    return new Trainer(recipe, listener, folder, writing.stateSteps, true);
  }

  /** Whether a folder that {@link #checkpointing} was given holds a state to resume from. */
  public static boolean hasState(Path folder) {
    try {
      return !TrainingStates.in(folder).isEmpty();
    } catch (IOException e) {
      throw new PeftException("cannot look for training states in " + folder + ": " + e, e);
    }
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
      TrainingResult result = fit(model, batches, judged, Loss.CROSS_ENTROPY, PooledHead.LOGITS);
      noteProvenance(model, train, result);
      return result;
    }
  }

  private void noteProvenance(AdaptedModel model, Dataset train, TrainingResult result) {
    Path data = Path.of(train.name()).getFileName();
    model.note("peft4j", Version.text());
    model.note("baseSha256", ContentHash.of(model.base().graph()));
    model.note("data", data == null ? train.name() : data.toString());
    model.note("dataSha256", ContentHash.of(train));
    model.note("recipe", recipe.toString());
    model.note("steps", Integer.toString(result.steps()));
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
      Objective objective,
      String logits) {
    model.start(new TrainingProbe(train, recipe.batchSize(), recipe.seed(), objective, logits));
    StepRule rule = StepRule.of(model);
    Graph graph = rule.prepared(model.graph());
    Map<String, Double> rates = model.learningRateFactors();
    try (TrainingLoop loop =
        new TrainingLoop(graph, rates, logits, objective, recipe, rule, listener)) {
      TrainingStates states = null;
      if (stateFolder != null) {
        states =
            new TrainingStates(
                stateFolder,
                RunIdentity.of(recipe, graph, rates, logits, objective, rule, train, validation));
      }
      if (states != null && resumes) {
        loop.resume(states);
      }
      TrainingLoop.Outcome outcome = loop.run(train, validation, states, stateSteps);
      model.update(outcome.values());
      AttachedAdapter finished = rule.finished(model.adapter());
      if (!finished.equals(model.adapter())) {
        model.become(finished);
      }
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
