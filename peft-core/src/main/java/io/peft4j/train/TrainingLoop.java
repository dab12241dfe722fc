package io.peft4j.train;

import io.peft4j.PeftException;
import io.peft4j.data.BatchSource;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.task.Loss;
import io.peft4j.task.Metrics;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Trains what is trainable in a graph. The order of the rows and the dropout of a step follow from
 * seed, epoch and step alone.
 */
final class TrainingLoop implements AutoCloseable {
  private final Recipe recipe;
  private final String logits;
  private final Loss loss;
  private final TrainingListener listener;
  private final TorchParameters parameters;
  private final TorchProgram training;
  private final TorchProgram evaluation;
  private final AdamW optimizer;

  TrainingLoop(Graph graph, String logits, Loss loss, Recipe recipe, TrainingListener listener) {
    this.recipe = recipe;
    this.logits = logits;
    this.loss = loss;
    this.listener = listener;
    if (graph.trainable().isEmpty()) {
      throw new PeftException("nothing in model '" + graph.name() + "' trains; attach an adapter");
    }
    parameters = TorchParameters.of(graph, DType.FLOAT32);
    training =
        TorchEngine.compile(loss.attach(graph, logits), CompileOptions.forTraining(), parameters);
    evaluation = TorchEngine.compile(graph, CompileOptions.evaluation(), parameters);
    optimizer =
        new AdamW(parameters, AdamW.groups(graph, recipe.weightDecay()), AdamW.Settings.standard());
  }

  /** Trains, and gives the best values by initializer with what happened. */
  record Outcome(Map<String, Tensor> values, TrainingResult result) {}

  Outcome run(BatchSource train, @Nullable BatchSource validation) {
    long start = System.nanoTime();
    int stepsPerEpoch = (train.size() + recipe.batchSize() - 1) / recipe.batchSize();
    int total = stepsPerEpoch * recipe.epochs();
    List<TrainingResult.Epoch> epochs = new ArrayList<>();
    Map<String, Tensor> best = new LinkedHashMap<>();
    int bestEpoch = 0;
    double bestAccuracy = -1;
    for (int epoch = 0; epoch < recipe.epochs(); epoch++) {
      double loss = epoch(train, epoch, stepsPerEpoch, total);
      Metrics metrics = validation == null ? null : evaluate(validation);
      listener.onEpoch(epoch, loss, metrics);
      epochs.add(new TrainingResult.Epoch(loss, metrics));
      if (metrics == null || metrics.accuracy() > bestAccuracy) {
        bestAccuracy = metrics == null ? -1 : metrics.accuracy();
        bestEpoch = epoch;
        best = parameters.values();
      }
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    return new Outcome(best, new TrainingResult(epochs, bestEpoch, total, seconds));
  }

  private double epoch(BatchSource train, int epoch, int stepsPerEpoch, int total) {
    int[] order = order(train.size(), epoch);
    double sum = 0;
    for (int i = 0; i < stepsPerEpoch; i++) {
      int from = i * recipe.batchSize();
      int to = Math.min(order.length, from + recipe.batchSize());
      int[] rows = java.util.Arrays.copyOfRange(order, from, to);
      sum += step(train.batch(rows), epoch, epoch * stepsPerEpoch + i, total);
    }
    return sum / stepsPerEpoch;
  }

  /** One optimiser step: forward, backward, clip, update. */
  private double step(Map<String, Tensor> batch, int epoch, int step, int total) {
    TorchEngine.seed(mixed(recipe.seed(), step));
    Tensor lossTensor = training.backward(batch, Loss.OUTPUT).get(Loss.OUTPUT);
    double loss = lossTensor == null ? Double.NaN : lossTensor.item();
    double norm = GradientNorm.clip(parameters, recipe.clipNorm());
    if (!Double.isFinite(loss) || !Double.isFinite(norm)) {
      throw new PeftException(
          "the loss is %s and the gradient norm %s at step %d; nothing was saved: lower the learning rate (it is %s) or look for wrong rows"
              .formatted(loss, norm, step + 1, recipe.learningRate()));
    }
    double rate =
        recipe.learningRate() * recipe.schedule().factor(step, recipe.warmup(total), total);
    optimizer.step(rate);
    parameters.zeroGradients();
    listener.onStep(new TrainingListener.Step(step, total, epoch, loss, rate, norm));
    return loss;
  }

  private Metrics evaluate(BatchSource source) {
    return Evaluation.metrics(
        Evaluation.scores(evaluation, source, logits), source, loss.threshold());
  }

  /** The rows of an epoch: as they stand, or shuffled (Fisher and Yates). */
  private int[] order(int size, int epoch) {
    if (!recipe.shuffle()) {
      return IntStream.range(0, size).toArray();
    }
    SplittableRandom random = new SplittableRandom(mixed(recipe.seed(), ~epoch));
    int[] order = new int[size];
    for (int i = 0; i < size; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = i;
    }
    return order;
  }

  /** A well-spread number out of two, from 0 on. */
  private static int mixed(int seed, int position) {
    SplittableRandom random = new SplittableRandom(((long) seed << 32) ^ position);
    return random.nextInt() & Integer.MAX_VALUE;
  }

  @Override
  public void close() {
    training.close();
    evaluation.close();
    optimizer.close();
    parameters.close();
  }
}
