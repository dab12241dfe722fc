package io.peft4j.examples;

import io.peft4j.AdaptedModel;
import io.peft4j.MergedModel;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.data.FeatureBatches;
import io.peft4j.network.Activation;
import io.peft4j.network.FeedForwardNetwork;
import io.peft4j.network.Initialisation;
import io.peft4j.task.Loss;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingResult;
import java.util.Random;

/**
 * A plain feed-forward network, 784-128-10, built, trained with Adam, then adapted with LoRA to
 * pictures that are drawn differently, and merged. The pictures are made here: a random pattern a
 * digit, and noise.
 */
public final class DigitsNetwork {
  private static final int PIXELS = 784;
  private static final int DIGITS = 10;
  private static final int ROWS = 400;

  private DigitsNetwork() {}

  /** Runs the example; it takes no arguments. */
  public static void main(String[] args) {
    Recipe.Builder adam = Recipe.builder().optEpochs(10).optBatchSize(32).optWeightDecay(0);
    Recipe recipe = adam.optLearningRate(1e-3).build();
    Recipe faster = adam.optLearningRate(5e-3).build();
    PretrainedModel network =
        FeedForwardNetwork.builder()
            .input(PIXELS)
            .hidden(128, Activation.RELU)
            .output(DIGITS)
            .initialisation(Initialisation.HE_UNIFORM)
            .seed(7)
            .build();

    AdaptedModel whole = network.attach(FreezeMask.all());
    TrainingResult first = fit(whole, recipe, pictures(1, 100), pictures(1, 200));
    PretrainedModel trained = whole.merge().model();

    AdaptedModel adapted = trained.attach(Lora.rank(16).on(Targets.feedForward()));
    TrainingResult second = fit(adapted, faster, pictures(2, 300), pictures(2, 400));
    MergedModel merged = adapted.merge();

    System.out.printf(
        "first pictures: %s%nother pictures, by LoRA: %s%nlargest difference when merged: %.1e%n",
        first.validation(), second.validation(), merged.maxOutputDifference());
  }

  private static TrainingResult fit(
      AdaptedModel model, Recipe recipe, FeatureBatches train, FeatureBatches validation) {
    return Trainer.with(recipe)
        .fit(model, train, validation, Loss.CROSS_ENTROPY, FeedForwardNetwork.LOGITS);
  }

  /**
   * Noisy pictures of ten digits.
   *
   * @param hand decides the digits' patterns
   * @param seed decides the noise
   */
  private static FeatureBatches pictures(long hand, long seed) {
    Random drawing = new Random(hand);
    float[][] patterns = new float[DIGITS][PIXELS];
    for (float[] pattern : patterns) {
      for (int i = 0; i < PIXELS; i++) {
        pattern[i] = drawing.nextInt(4) == 0 ? 1 : 0;
      }
    }
    Random noise = new Random(seed);
    float[][] rows = new float[ROWS][PIXELS];
    long[] labels = new long[ROWS];
    for (int row = 0; row < ROWS; row++) {
      labels[row] = row % DIGITS;
      for (int i = 0; i < PIXELS; i++) {
        rows[row][i] = patterns[row % DIGITS][i] + (float) noise.nextGaussian();
      }
    }
    return new FeatureBatches(FeedForwardNetwork.INPUT, rows, labels);
  }
}
