package io.peft4j.train;

import com.google.common.collect.Sets;
import io.peft4j.PeftException;
import io.peft4j.data.BatchSource;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.task.Loss;
import io.peft4j.task.Metrics;
import io.peft4j.task.Objective;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
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
  private final Objective objective;
  private final StepRule rule;
  private final TrainingListener listener;
  private final TorchParameters parameters;
  private final Set<String> optimised;
  private final TorchProgram training;
  private final TorchProgram evaluation;
  private final AdamW optimizer;
  private Progress progress = Progress.START;
  private Map<String, Tensor> best = Map.of();
  private double secondsBefore;

  /**
   * @param rateFactors by how much single parameters learn faster than the recipe says
   */
  TrainingLoop(
      Graph graph,
      Map<String, Double> rateFactors,
      String logits,
      Objective objective,
      Recipe recipe,
      StepRule rule,
      TrainingListener listener) {
    this.recipe = recipe;
    this.rule = rule;
    this.logits = logits;
    this.objective = objective;
    this.listener = listener;
    if (graph.trainable().isEmpty()) {
      throw new PeftException("nothing in model '" + graph.name() + "' trains; attach an adapter");
    }
    parameters = TorchParameters.of(graph, DType.FLOAT32);
    Graph judged = lossAlone(rule.judging(objective).attach(graph, logits));
    training = TorchEngine.compile(judged, CompileOptions.forTraining(), parameters);
    evaluation = TorchEngine.compile(graph, CompileOptions.evaluation(), parameters);
    optimised = new LinkedHashSet<>(parameters.names());
    optimised.removeAll(rule.owned());
    List<AdamW.Group> groups =
        AdamW.groups(graph, recipe.weightDecay(), rateFactors).stream()
            .map(g -> g.within(optimised))
            .toList();
    optimizer = new AdamW(parameters, groups, AdamW.Settings.standard());
  }

  /** Without the other outputs, which would be computed, kept and copied in every step. */
  private static Graph lossAlone(Graph graph) {
    return graph.edit().clearOutputs().output(Value.of(Loss.OUTPUT, DType.FLOAT32)).prune().build();
  }

  /** The best values by initializer, and what happened. */
  record Outcome(Map<String, Tensor> values, TrainingResult result) {}

  /** Goes on where a training of the same kind stopped. */
  void resume(TrainingStates states) {
    TrainingState state = states.newest(parameters.values(), optimised);
    progress = state.progress();
    secondsBefore = state.seconds();
    state.values().forEach(parameters::set);
    optimizer.restore(state.optimizer());
    best = state.best();
  }

  /**
   * Trains to the end.
   *
   * @param states where to write states; null for nowhere
   * @param everySteps a state is written after each of so many steps, and after each epoch; 0 for
   *     epochs only
   */
  Outcome run(
      BatchSource train,
      @Nullable BatchSource validation,
      @Nullable TrainingStates states,
      int everySteps) {
    long start = System.nanoTime();
    int stepsPerEpoch = (train.size() + recipe.batchSize() - 1) / recipe.batchSize();
    int total = stepsPerEpoch * recipe.epochs();
    while (progress.epochs().size() < recipe.epochs() && !outOfPatience(validation)) {
      int epoch = progress.epochs().size();
      int[] order = order(train.size(), epoch);
      for (int i = progress.step() - epoch * stepsPerEpoch; i < stepsPerEpoch; i++) {
        int from = i * recipe.batchSize();
        int to = Math.min(order.length, from + recipe.batchSize());
        TrainingListener.Step step =
            step(train.batch(Arrays.copyOfRange(order, from, to)), epoch, progress.step(), total);
        progress = progress.stepped(step.loss());
        if (everySteps > 0 && progress.step() % everySteps == 0 && i + 1 < stepsPerEpoch) {
          save(states, start);
        }
        listener.onStep(step);
      }
      finishEpoch(epoch, total, validation);
      save(states, start);
    }
    return new Outcome(
        best,
        new TrainingResult(
            progress.epochs(), progress.bestEpoch(), progress.step(), seconds(start)));
  }

  /** Whether too many epochs have passed since the best. */
  private boolean outOfPatience(@Nullable BatchSource validation) {
    int since = progress.epochs().size() - 1 - progress.bestEpoch();
    return validation != null && recipe.patience() > 0 && since >= recipe.patience();
  }

  private void finishEpoch(int epoch, int total, @Nullable BatchSource validation) {
    int stepsPerEpoch = total / recipe.epochs();
    double meanLoss = progress.lossSum() / stepsPerEpoch;
    Metrics metrics = validation == null ? null : evaluate(validation);
    listener.onEpoch(epoch, meanLoss, metrics);
    progress =
        rule.settled(epoch * stepsPerEpoch, total)
            ? progress.finished(meanLoss, metrics)
            : progress.restarted(meanLoss, metrics);
    if (progress.bestEpoch() == epoch) {
      best = parameters.values();
    }
  }

  private void save(@Nullable TrainingStates states, long start) {
    if (states != null) {
      states.write(
          new TrainingState(
              progress, seconds(start), parameters.values(), optimizer.state(), best));
    }
  }

  private double seconds(long start) {
    return secondsBefore + (System.nanoTime() - start) / 1e9;
  }

  /** One optimiser step: forward, backward, clip, update. */
  private TrainingListener.Step step(Map<String, Tensor> batch, int epoch, int step, int total) {
    Set<String> resting = rule.resting(parameters, step, total);
    parameters.rest(resting);
    Set<String> active = resting.isEmpty() ? optimised : Sets.difference(optimised, resting);
    TorchEngine.seed(mixed(recipe.seed(), step));
    Tensor lossTensor = training.backward(batch, Loss.OUTPUT).get(Loss.OUTPUT);
    double loss = lossTensor == null ? Double.NaN : lossTensor.item();
    rule.beforeUpdate(parameters, step, total);
    double norm = GradientNorm.clip(parameters, active, recipe.clipNorm());
    if (!Double.isFinite(loss) || !Double.isFinite(norm)) {
      throw new PeftException(
          "the loss is %s and the gradient norm %s at step %d; the model is as it was: lower the learning rate (it is %s) or look for wrong rows"
              .formatted(loss, norm, step + 1, recipe.learningRate()));
    }
    double rate =
        recipe.learningRate() * recipe.schedule().factor(step, recipe.warmup(total), total);
    optimizer.step(rate, active);
    rule.afterUpdate(parameters, step, total);
    parameters.zeroGradients();
    return new TrainingListener.Step(step, total, epoch, loss, rate, norm);
  }

  private Metrics evaluate(BatchSource source) {
    return Evaluation.metrics(
        Evaluation.scores(evaluation, source, logits), source, objective.threshold());
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
