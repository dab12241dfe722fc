package io.peft4j.train;

import io.peft4j.RecipeException;
import io.peft4j.task.Pooling;

/**
 * How to train.
 *
 * @param epochs passes over the data
 * @param batchSize rows a step
 * @param learningRate the highest one
 * @param weightDecay of AdamW, not for biases and norms
 * @param schedule how the rate changes
 * @param warmupRatio the share of the steps over which the rate rises; 0 where warmupSteps says it
 * @param warmupSteps the number of steps over which the rate rises; 0 where warmupRatio says it
 * @param patience training ends after so many epochs without a better one on the validation set; 0
 *     to train to the end
 * @param clipNorm the largest common norm of the gradients; 0 for no limit
 * @param shuffle whether each epoch takes the rows in another order; otherwise as they stand
 * @param maxLength tokens of a text at most
 * @param pooling what a head that is added stands on
 * @param headDropout the dropout before a head that is added
 * @param seed decides start values, order and dropout
 */
public record Recipe(
    int epochs,
    int batchSize,
    double learningRate,
    double weightDecay,
    Schedule schedule,
    double warmupRatio,
    int warmupSteps,
    int patience,
    double clipNorm,
    boolean shuffle,
    int maxLength,
    Pooling pooling,
    double headDropout,
    int seed) {

  /**
   * @throws RecipeException if a value is out of its range
   */
  public Recipe {
    atLeast("epochs", epochs, 1);
    atLeast("batchSize", batchSize, 1);
    atLeast("maxLength", maxLength, 1);
    if (!(learningRate > 0) || Double.isInfinite(learningRate)) {
      throw new RecipeException("learningRate must be a positive number, was " + learningRate);
    }
    notNegative("weightDecay", weightDecay);
    atLeast("patience", patience, 0);
    notNegative("clipNorm", clipNorm);
    fraction("warmupRatio", warmupRatio);
    atLeast("warmupSteps", warmupSteps, 0);
    if (warmupRatio > 0 && warmupSteps > 0) {
      throw new RecipeException(
          "warmupRatio is %s and warmupSteps %d; give one of them only"
              .formatted(warmupRatio, warmupSteps));
    }
    fraction("headDropout", headDropout);
  }

  private static void atLeast(String field, int value, int least) {
    if (value < least) {
      throw new RecipeException(field + " must be at least " + least + ", was " + value);
    }
  }

  private static void notNegative(String field, double value) {
    if (!(value >= 0) || Double.isInfinite(value)) {
      throw new RecipeException(field + " must be 0 or a positive number, was " + value);
    }
  }

  private static void fraction(String field, double value) {
    if (!(value >= 0 && value < 1)) {
      throw new RecipeException(field + " must be from 0 to below 1, was " + value);
    }
  }

  /** How many of all steps the learning rate rises over. */
  int warmup(int totalSteps) {
    return warmupSteps > 0 ? warmupSteps : (int) Math.ceil(warmupRatio * totalSteps);
  }

  /** A recipe that suits an adapter on a small encoder. */
  public static Recipe standard() {
    return builder().build();
  }

  public static Builder builder() {
    return new Builder();
  }

  /** Builds a recipe; what is not set has the value that suits an adapter on a small encoder. */
  public static final class Builder {
    private int epochs = 8;
    private int batchSize = 16;
    private double learningRate = 2e-3;
    private double weightDecay = 0.01;
    private Schedule schedule = Schedule.LINEAR;
    private double warmupRatio = 0.1;
    private int warmupSteps;
    private int patience;
    private double clipNorm = 1.0;
    private boolean shuffle = true;
    private int maxLength = 128;
    private Pooling pooling = Pooling.MEAN;
    private double headDropout = 0.1;
    private int seed = 42;

    private Builder() {}

    public Builder optEpochs(int value) {
      epochs = value;
      return this;
    }

    public Builder optBatchSize(int value) {
      batchSize = value;
      return this;
    }

    public Builder optLearningRate(double value) {
      learningRate = value;
      return this;
    }

    public Builder optWeightDecay(double value) {
      weightDecay = value;
      return this;
    }

    public Builder optSchedule(Schedule value) {
      schedule = value;
      return this;
    }

    /** In place of {@link #optWarmupSteps}. */
    public Builder optWarmupRatio(double value) {
      warmupRatio = value;
      warmupSteps = 0;
      return this;
    }

    /** In place of {@link #optWarmupRatio}. */
    public Builder optWarmupSteps(int value) {
      warmupSteps = value;
      warmupRatio = 0;
      return this;
    }

    public Builder optPatience(int value) {
      patience = value;
      return this;
    }

    public Builder optClipNorm(double value) {
      clipNorm = value;
      return this;
    }

    public Builder optShuffle(boolean value) {
      shuffle = value;
      return this;
    }

    public Builder optMaxLength(int value) {
      maxLength = value;
      return this;
    }

    public Builder optPooling(Pooling value) {
      pooling = value;
      return this;
    }

    public Builder optHeadDropout(double value) {
      headDropout = value;
      return this;
    }

    public Builder optSeed(int value) {
      seed = value;
      return this;
    }

    public Recipe build() {
      return new Recipe(
          epochs,
          batchSize,
          learningRate,
          weightDecay,
          schedule,
          warmupRatio,
          warmupSteps,
          patience,
          clipNorm,
          shuffle,
          maxLength,
          pooling,
          headDropout,
          seed);
    }
  }
}
