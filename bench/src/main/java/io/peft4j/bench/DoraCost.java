package io.peft4j.bench;

import com.google.common.math.Quantiles;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * What DoRA costs beside LoRA: the same training step with and without it, in turns, in one
 * process. Prints the median step of each and the ratio.
 */
public final class DoraCost {
  private static final int STEPS = 12;

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
      StepTimes one = LoraTraining.run(base, doraFirst, STEPS);
      StepTimes other = LoraTraining.run(base, !doraFirst, STEPS);
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
}
