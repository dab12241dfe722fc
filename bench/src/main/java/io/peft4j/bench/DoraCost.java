package io.peft4j.bench;

import com.google.common.math.Quantiles;
import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.task.Loss;
import io.peft4j.task.PooledHead;
import io.peft4j.task.Pooling;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;

/**
 * What DoRA costs beside LoRA: the same training step with and without it, in turns, in one
 * process. Prints the median step of each and the ratio.
 */
public final class DoraCost {
  private static final int ROWS = 32;
  private static final int LENGTH = 64;
  private static final int LABELS = 10;
  private static final int WARM_UP = 3;
  private static final int STEPS = 12;
  private static final double DROPOUT = 0.1;

  private DoraCost() {}

  /**
   * @param args an encoder without a head (.onnx file or folder), and how many rounds to run
   */
  public static void main(String[] args) {
    PretrainedModel base = Checkpoints.open(Path.of(args[0]));
    int rounds = Integer.parseInt(args[1]);
    List<Double> millis = new ArrayList<>();
    List<Double> ratios = new ArrayList<>();
    List<Double> processorRatios = new ArrayList<>();
    for (int round = 0; round < rounds; round++) {
      boolean doraFirst = round % 2 == 1; // neither always runs on a warmer machine
      StepTimes one = step(base, doraFirst);
      StepTimes other = step(base, !doraFirst);
      StepTimes lora = doraFirst ? other : one;
      StepTimes dora = doraFirst ? one : other;
      millis.add(lora.medianMillis());
      ratios.add(dora.medianMillis() / lora.medianMillis());
      processorRatios.add(dora.meanProcessorMillis() / lora.meanProcessorMillis());
    }
    System.out.println("LoRA step, ms                  " + shown(millis, "%.0f"));
    System.out.println("DoRA / LoRA, time              " + shown(ratios, "%.3f"));
    System.out.println("DoRA / LoRA, processor time    " + shown(processorRatios, "%.3f"));
  }

  private static String shown(List<Double> values, String form) {
    return (form + "  (" + form + " to " + form + ")")
        .formatted(
            Quantiles.median().compute(values), Collections.min(values), Collections.max(values));
  }

  private static StepTimes step(PretrainedModel base, boolean dora) {
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
            new RandomRows(WARM_UP + STEPS, ROWS, LENGTH, LABELS),
            null,
            Loss.CROSS_ENTROPY,
            PooledHead.LOGITS);
    return times;
  }
}
