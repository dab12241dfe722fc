package io.peft4j.compress.prune;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.collect.ImmutableSet;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.task.Loss;
import io.peft4j.task.Objective;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Evaluation;
import io.peft4j.train.TrainingListener;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Structured pruning: takes out the units of a model that matter least, ranked over all layers, so
 * that its shapes shrink, as uneven as they come out; in several steps if asked for, each followed
 * by a recovery.
 *
 * <pre>{@code
 * Pruning.of(Target.share(0.3), Structure.NEURONS)
 *     .recovering(Recovery.distillation(Distillation.standard(), recipe))
 *     .prune(model, tokenizer, train, null, TrainingListener.NONE)
 * }</pre>
 *
 * @param structures what may go
 * @param importance what units are ranked by
 * @param target how far to go
 * @param even whether every block of a structure loses the same share, so that layers stay alike
 * @param steps in how many steps, of about equal size
 * @param rows rows of the training data that the importance looks at, at most
 * @param recovery the training after each step; null for none
 */
public record Pruning(
    Set<Structure> structures,
    Importance importance,
    Target target,
    boolean even,
    int steps,
    int rows,
    @Nullable Recovery recovery) {
  private static final int ROWS = 256;
  private static final int BATCH = 16;

  /**
   * @throws RecipeException if a value is out of its range
   */
  public Pruning {
    structures = ImmutableSet.copyOf(structures);
    if (structures.isEmpty()) {
      throw new RecipeException("structures must name at least one");
    }
    if (structures.contains(Structure.VOCABULARY)) {
      throw new RecipeException(
          "structures cannot hold vocabulary here; VocabularyPruning takes the tokenizer too");
    }
    boolean share = target instanceof Target.Share;
    if (!share && (even || structures.contains(Structure.LAYERS))) {
      throw new RecipeException(
          "target must be a share where %s".formatted(even ? "layers stay alike" : "layers go"));
    }
    if (steps < 1) {
      throw new RecipeException("steps must be at least 1, was " + steps);
    }
    if (rows < 1) {
      throw new RecipeException("rows must be at least 1, was " + rows);
    }
  }

  /** By Fisher information on 256 rows, in one step, without recovery. */
  public static Pruning of(Target target, Structure... structures) {
    return new Pruning(Set.of(structures), Importance.FISHER, target, false, 1, ROWS, null);
  }

  public Pruning by(Importance newImportance) {
    return new Pruning(structures, newImportance, target, even, steps, rows, recovery);
  }

  /** Every block of a structure loses the same share. */
  public Pruning evenly() {
    return new Pruning(structures, importance, target, true, steps, rows, recovery);
  }

  public Pruning inSteps(int newSteps) {
    return new Pruning(structures, importance, target, even, newSteps, rows, recovery);
  }

  public Pruning lookingAt(int newRows) {
    return new Pruning(structures, importance, target, even, steps, newRows, recovery);
  }

  public Pruning recovering(@Nullable Recovery newRecovery) {
    return new Pruning(structures, importance, target, even, steps, rows, newRecovery);
  }

  /**
   * Prunes a text classifier.
   *
   * @param model with the output {@code logits}; for an importance that is not of the loss, and
   *     without recovery, any encoder of text
   * @param train rows; where importance needs labels and a row lacks one, the model's own answers
   *     take their place
   * @param validation for the recovery: rows to keep the best epoch by; null to keep the last
   * @throws io.peft4j.UnsupportedModelException if the model has no such units, or they cannot be
   *     taken apart
   */
  public PrunedModel prune(
      PretrainedModel model,
      TextTokenizer tokenizer,
      Dataset train,
      @Nullable Dataset validation,
      TrainingListener listener) {
    Recovery training = recovery;
    PruningRun.Trained trained =
        training == null
            ? (original, pruned) -> pruned
            : (original, pruned) ->
                training.recover(original, pruned, tokenizer, train, validation, listener);
    Calibration calibration = calibration(model, tokenizer, sample(train));
    return new PruningRun(this, model, calibration, trained).run();
  }

  /**
   * Prunes any model by prepared batches, without recovery.
   *
   * @param rows with what the objective needs
   * @param logits the output that the objective judges
   */
  public PrunedModel prune(
      PretrainedModel model, BatchSource rows, Objective objective, String logits) {
    checkArgument(recovery == null, "recovery needs text; prune(model, tokenizer, ...) takes it");
    Calibration calibration = new Calibration(rows, objective, logits, BATCH);
    return new PruningRun(this, model, calibration, (original, pruned) -> pruned).run();
  }

  /**
   * Prunes any model by its weights alone, without recovery.
   *
   * @throws io.peft4j.PeftException if the importance looks at data
   */
  public PrunedModel prune(PretrainedModel model) {
    return prune(model, new NoRows(), Loss.CROSS_ENTROPY, PooledHead.LOGITS);
  }

  private Calibration calibration(PretrainedModel model, TextTokenizer tokenizer, Dataset data) {
    List<String> inputs = new ArrayList<>(model.graph().requiredInputs());
    long[] labels = new long[0];
    if (importance.ofLoss()) {
      inputs.add(TextBatches.LABELS);
      labels = labels(model, tokenizer, data);
    }
    BatchSource batches = new TextBatches(data, labels, tokenizer, inputs);
    return new Calibration(batches, Loss.CROSS_ENTROPY, PooledHead.LOGITS, BATCH);
  }

  private static long[] labels(PretrainedModel model, TextTokenizer tokenizer, Dataset data) {
    if (data.examples().stream().allMatch(e -> e.label() != null && !e.label().isEmpty())) {
      List<String> known = model.checkpoint().labels();
      return data.labelIds(known.isEmpty() ? data.labels() : known);
    }
    BatchSource rows =
        new TextBatches(data, new long[0], tokenizer, model.graph().requiredInputs());
    try (Program program = TorchEngine.compile(model.graph(), CompileOptions.evaluation())) {
      return Arrays.stream(Evaluation.scores(program, rows, PooledHead.LOGITS))
          .mapToLong(Pruning::highest)
          .toArray();
    }
  }

  private static long highest(float... scores) {
    return IntStream.range(0, scores.length)
        .boxed()
        .max(Comparator.comparingDouble(i -> scores[i]))
        .orElseThrow();
  }

  /** Rows drawn at random, the same each time. */
  private Dataset sample(Dataset data) {
    List<Integer> order =
        IntStream.range(0, data.size()).boxed().collect(Collectors.toCollection(ArrayList::new));
    Collections.shuffle(order, new Random(0));
    return new Dataset(data.name(), order.stream().limit(rows).map(data.examples()::get).toList());
  }
}
