package io.peft4j.cli;

import static java.util.Objects.requireNonNull;

import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.compress.prune.ModelSize;
import io.peft4j.compress.prune.PrunedModel;
import io.peft4j.compress.prune.PrunedVocabulary;
import io.peft4j.compress.prune.Pruning;
import io.peft4j.compress.prune.Structure;
import io.peft4j.compress.prune.VocabularyPruning;
import io.peft4j.data.BatchSource;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.data.TextTokenizers;
import io.peft4j.engine.Program;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Evaluation;
import io.peft4j.train.TrainingListener;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The work of {@code peft4j prune}, from the model's file to the pruned model. */
final class PruneRun {
  private final PruneRecipe recipe;
  private final PretrainedModel original;
  private final @Nullable Dataset train;
  private final @Nullable Dataset validation;
  private final @Nullable Dataset test;

  private PretrainedModel model;
  private @Nullable PrunedModel pruned;
  private @Nullable PrunedVocabulary vocabulary;

  /** Opens what the recipe names. */
  PruneRun(PruneRecipe recipe) {
    this.recipe = recipe;
    PretrainedModel base = Checkpoints.open(recipe.model());
    original = recipe.adapter() == null ? base : base.load(recipe.adapter()).merge().model();
    train = read(recipe.train());
    validation = read(recipe.validation());
    test = recipe.test() == null ? train : read(recipe.test());
    model = original;
  }

  private @Nullable Dataset read(@Nullable Path file) {
    return file == null ? null : DataFiles.read(file, recipe.columns(), false);
  }

  void prune(TrainingListener listener) {
    Pruning pruning = recipe.pruning();
    if (pruning != null && train == null) {
      pruned = pruning.prune(model);
    } else if (pruning != null && train != null) {
      try (TextTokenizer tokenizer = original.tokenizer(recipe.training().maxLength())) {
        pruned = pruning.prune(model, tokenizer, train, validation, listener);
      }
    }
    if (pruned != null) {
      model = pruned.model();
    }
    if (recipe.structures().contains(Structure.VOCABULARY) && train != null) {
      vocabulary = VocabularyPruning.prune(model, oldTokenizer(), train);
      model = vocabulary.model();
    }
  }

  PretrainedModel model() {
    return model;
  }

  /** The model without units; there is one unless the vocabulary alone was pruned. */
  PrunedModel pruned() {
    return requireNonNull(pruned);
  }

  /** The tokenizer of the model that was given. */
  Path oldTokenizer() {
    return TextTokenizers.beside(recipe.model());
  }

  /** The text of the tokenizer that goes with the pruned model; null if it is the old one. */
  @Nullable String newTokenizer() {
    return vocabulary == null ? null : vocabulary.tokenizer();
  }

  /**
   * What was done.
   *
   * @param tokenizer of the pruned model
   */
  PruneReport report(Path tokenizer, double exportDifference) {
    List<PrunedModel.Kept> blocks = new ArrayList<>();
    ModelSize before = null;
    ModelSize after = null;
    double masked = 0;
    if (pruned != null) {
      blocks.addAll(pruned.blocks());
      before = pruned.before();
      after = pruned.after();
      masked = pruned.maskedDifference();
    }
    if (vocabulary != null) {
      blocks.add(vocabulary.kept());
      after = after == null ? vocabulary.after() : both(after, vocabulary);
      before = before == null ? vocabulary.before() : before;
    }
    if (before == null || after == null) {
      throw new IllegalStateException("nothing was pruned");
    }
    return new PruneReport(
        recipe.output().toString(),
        PruneReport.State.of(before, accuracy(original, oldTokenizer())),
        PruneReport.State.of(after, accuracy(model, tokenizer)),
        blocks,
        test == null ? null : test.name(),
        masked,
        exportDifference);
  }

  /** The row that operations are counted on is that of the first pruning. */
  private static ModelSize both(ModelSize units, PrunedVocabulary rows) {
    double share = rows.after().flops() / (double) rows.before().flops();
    return new ModelSize(
        rows.after().parameters(), Math.round(units.flops() * share), rows.after().bytes());
  }

  /** Null where there are no labelled rows, or the model does not score them. */
  private @Nullable Double accuracy(PretrainedModel judged, Path tokenizerFile) {
    List<String> labels = original.checkpoint().labels();
    boolean labelled =
        test != null
            && test.size() > 0
            && test.examples().stream().allMatch(e -> e.label() != null && !e.label().isEmpty());
    if (test == null || !labelled || labels.isEmpty() || !judged.hasLogits()) {
      return null;
    }
    try (TextTokenizer tokenizer =
            TextTokenizers.open(tokenizerFile, recipe.training().maxLength());
        Program program = EngineName.PYTORCH.compile(judged.graph())) {
      BatchSource rows =
          new TextBatches(test, test.labelIds(labels), tokenizer, program.inputNames());
      return Evaluation.metrics(Evaluation.scores(program, rows, PooledHead.LOGITS), rows)
          .accuracy();
    }
  }
}
