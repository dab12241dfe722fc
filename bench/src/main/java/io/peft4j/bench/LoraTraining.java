package io.peft4j.bench;

import io.peft4j.AdaptedModel;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.task.Loss;
import io.peft4j.task.PooledHead;
import io.peft4j.task.Pooling;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The training that is measured: LoRA r 8 on the feed-forward linears, a classification head,
 * dropout 0.1 everywhere, 32 texts of 64 tokens a step, AdamW, clipping.
 */
final class LoraTraining {
  private static final int ROWS = 32;
  private static final int LENGTH = 64;
  private static final int LABELS = 10;
  private static final int WARM_UP = 3;
  private static final double DROPOUT = 0.1;

  private LoraTraining() {}

  /**
   * Trains a model, which is an encoder without a head.
   *
   * @param steps how many are timed, behind a few that are not
   */
  static StepTimes run(PretrainedModel base, boolean dora, int steps) {
    AdaptedModel model =
        base.attach(Lora.rank(8).dropout(DROPOUT).dora(dora).on(Targets.feedForward()));
    List<String> labels = IntStream.range(0, LABELS).mapToObj(i -> "label " + i).toList();
    model.addHead(new PooledHead(Pooling.CLS, LABELS, DROPOUT), labels, 0);
    Recipe recipe = Recipe.builder().optEpochs(1).optBatchSize(ROWS).optLearningRate(1e-3).build();
    StepTimes times = new StepTimes(WARM_UP);
    Trainer.with(recipe)
        .listening(times)
        .fit(
            model,
            new RandomRows(WARM_UP + steps, ROWS, LENGTH, LABELS),
            null,
            Loss.CROSS_ENTROPY,
            PooledHead.LOGITS);
    return times;
  }
}
