package io.peft4j.compress.prune;

import io.peft4j.AdaptedModel;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.compress.distill.Distillation;
import io.peft4j.compress.distill.Teacher;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.task.Loss;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Training after pruning, to win back what was lost. */
@FunctionalInterface
public interface Recovery {
  /**
   * Trains a pruned model and gives it with its new weights, of the same shapes.
   *
   * @param original the model before any pruning
   * @param validation rows to keep the best epoch by; null to keep the last
   */
  PretrainedModel recover(
      PretrainedModel original,
      PretrainedModel pruned,
      TextTokenizer tokenizer,
      Dataset train,
      @Nullable Dataset validation,
      TrainingListener listener);

  /** Learns from the unpruned model's scores, and from the labels as the targets say. */
  static Recovery distillation(Distillation distillation, Recipe recipe) {
    return (original, pruned, tokenizer, train, validation, listener) ->
        distillation
            .distil(
                Trainer.with(recipe).listening(listener),
                new Teacher(original, tokenizer),
                pruned,
                tokenizer,
                train,
                validation)
            .model();
  }

  /**
   * Learns from the labels.
   *
   * @param trains for example {@code FreezeMask.all()} or a LoRA, which is merged afterwards
   */
  static Recovery fineTuning(AdapterMethod trains, Recipe recipe) {
    return (original, pruned, tokenizer, train, validation, listener) -> {
      AdaptedModel model = pruned.attach(trains, recipe.seed());
      List<String> inputs = new ArrayList<>(pruned.graph().requiredInputs());
      inputs.add(TextBatches.LABELS);
      List<String> labels = pruned.checkpoint().labels();
      BatchSource rows = new TextBatches(train, train.labelIds(labels), tokenizer, inputs);
      BatchSource judged =
          validation == null
              ? null
              : new TextBatches(validation, validation.labelIds(labels), tokenizer, inputs);
      Trainer.with(recipe)
          .listening(listener)
          .fit(model, rows, judged, Loss.CROSS_ENTROPY, PooledHead.LOGITS);
      return model.merge().model();
    };
  }
}
