package io.peft4j.compress.sparse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.AdaptedModel;
import io.peft4j.MergedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.compress.sparse.GradualSparsity.Score;
import io.peft4j.data.BatchSource;
import io.peft4j.data.FeatureBatches;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.network.Activation;
import io.peft4j.network.FeedForwardNetwork;
import io.peft4j.task.Loss;
import io.peft4j.train.Evaluation;
import io.peft4j.train.Recipe;
import io.peft4j.train.StepRule;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import io.peft4j.train.TrainingResult;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class GradualSparsityTest {
  private static final Targets LAYERS = Targets.named(List.of("0", "2"));

  private static PretrainedModel network() {
    return FeedForwardNetwork.builder()
        .input(8)
        .hidden(32, Activation.RELU)
        .hidden(16, Activation.RELU)
        .output(2)
        .seed(3)
        .build();
  }

  /** Whether the first two of eight numbers have the same sign. */
  private static BatchSource rows(int count, long seed) {
    Random random = new Random(seed);
    float[][] features = new float[count][8];
    long[] labels = new long[count];
    for (int i = 0; i < count; i++) {
      for (int j = 0; j < 8; j++) {
        features[i][j] = (float) random.nextGaussian();
      }
      labels[i] = features[i][0] * features[i][1] > 0 ? 1 : 0;
    }
    return new FeatureBatches(FeedForwardNetwork.INPUT, features, labels);
  }

  private static Recipe recipe(int epochs) {
    return Recipe.builder()
        .optEpochs(epochs)
        .optBatchSize(32)
        .optLearningRate(0.01)
        .optWarmupSteps(0)
        .build();
  }

  private static double accuracy(PretrainedModel model, BatchSource rows) {
    try (TorchProgram program = TorchEngine.compile(model.graph(), CompileOptions.evaluation())) {
      return Evaluation.metrics(Evaluation.scores(program, rows, FeedForwardNetwork.LOGITS), rows)
          .accuracy();
    }
  }

  private static MergedModel train(AdaptedModel model, int epochs) {
    Trainer.with(recipe(epochs))
        .fit(model, rows(512, 1), rows(256, 2), Loss.CROSS_ENTROPY, FeedForwardNetwork.LOGITS);
    return model.merge();
  }

  @ParameterizedTest
  @CsvSource({
    "MAGNITUDE, 0.5, MODEL",
    "MAGNITUDE, 0.8, LAYER",
    "MAGNITUDE, 2:4,",
    "MOVEMENT, 0.5, MODEL",
    "MOVEMENT, 0.8, LAYER",
    "MOVEMENT, 0.75, ROW",
    "MOVEMENT, 1:4,"
  })
  void theSparsityIsReachedWhileTheModelLearns(Score score, String amount, Pattern.Scope scope) {
    Pattern pattern =
        scope == null
            ? Pattern.parse(amount)
            : new Pattern.Share(Double.parseDouble(amount), scope);
    GradualSparsity plan = GradualSparsity.of(score, pattern).on(LAYERS);
    MergedModel merged = train(network().attach(plan), 12);
    SparseModel sparse = SparseModel.measured(merged.model(), LAYERS);
    assertThat(merged.maxOutputDifference()).isLessThan(1e-5);
    assertThat(sparse.sparsity()).isCloseTo(pattern.target(), within(0.01));
    if (scope != Pattern.Scope.MODEL) {
      sparse
          .layers()
          .forEach(l -> assertThat(l.sparsity()).isCloseTo(pattern.target(), within(0.01)));
    }
    assertThat(accuracy(merged.model(), rows(400, 5))).isGreaterThan(0.9);
    assertThat(merged.model().graph().nodes()).isEqualTo(network().graph().nodes());
    assertThat(merged.model().graph().metadata().get(SparseModel.METADATA_KEY))
        .contains("\"importance\":\"" + score + "\"");
    assertThat(merged.model().graph().parameterCount())
        .isEqualTo(network().graph().parameterCount());
  }

  /** An earlier epoch may be more accurate, but is not as sparse as it is to be. */
  @ParameterizedTest
  @CsvSource({"1, 3", "0.5, 1"})
  void noEpochBeforeTheEndOfTheScheduleIsKept(double end, int first) {
    GradualSparsity plan =
        GradualSparsity.of(Score.MAGNITUDE, Pattern.share(0.97))
            .on(LAYERS)
            .scheduled(new CubicSchedule(0, end));
    PretrainedModel dense = train(network().attach(FreezeMask.all()), 12).model();
    AdaptedModel model = dense.attach(plan);
    TrainingResult result = fit(Trainer.with(recipe(4)), model);
    assertThat(result.bestEpoch()).isGreaterThanOrEqualTo(first);
    assertThat(result.epochs().get(0).validation().accuracy())
        .isGreaterThan(result.validation().accuracy());
    assertThat(SparseModel.measured(model.merge().model(), LAYERS).sparsity())
        .isCloseTo(0.97, within(0.01));
  }

  @Test
  void groupsOfWeightsKeepWhatThePatternAllows() {
    GradualSparsity plan = GradualSparsity.of(Score.MOVEMENT, Pattern.parse("1:4")).on(LAYERS);
    Graph graph = train(network().attach(plan), 4).model().graph();
    for (String name : List.of("0.weight", "2.weight")) {
      float[] weight = graph.initializer(name).toFloats();
      for (int from = 0; from < weight.length; from += 4) {
        int first = from;
        assertThat(IntStream.range(0, 4).filter(i -> weight[first + i] != 0).count())
            .isLessThanOrEqualTo(1);
      }
    }
  }

  /** Held against −Σ w ∂L/∂w′ with the gradient of a plain model that has the masked weights. */
  @Test
  void movementIsTheSumOfWeightsTimesGradientsWhereMaskedToo() {
    PretrainedModel network = network();
    GradualSparsity plan =
        GradualSparsity.of(Score.MOVEMENT, Pattern.share(0.5))
            .on(LAYERS)
            .scheduled(new CubicSchedule(0, 0.5));
    AdaptedModel model = network.attach(plan);
    StepRule rule = StepRule.of(model);
    Graph judged = Loss.CROSS_ENTROPY.attach(model.graph(), FeedForwardNetwork.LOGITS);
    double[] expected = new double[8 * 32];
    try (TorchProgram program = TorchEngine.compile(judged, CompileOptions.evaluation())) {
      for (int step = 0; step < 6; step++) {
        Map<String, Tensor> batch = rows(32, 10 + step).batch(IntStream.range(0, 32).toArray());
        double[] weight = program.parameters().value("0.weight").toDoubles();
        double[] mask = program.parameters().value("0.weight.mask").toDoubles();
        double[] gradient = plainGradient(network, program, batch);
        program.backward(batch, Loss.OUTPUT);
        rule.beforeUpdate(program.parameters(), step, 12);
        rule.afterUpdate(program.parameters(), step, 12);
        double[] own = program.parameters().gradient("0.weight").toDoubles();
        for (int i = 0; i < expected.length; i++) {
          expected[i] -= weight[i] * gradient[i];
          assertThat(own[i]).isCloseTo(gradient[i] * mask[i], within(1e-6));
        }
        program.parameters().zeroGradients();
        assertThat(program.parameters().value("0.weight.scores").toDoubles())
            .containsExactly(expected, within(1e-6));
      }
      float[] mask = program.parameters().value("0.weight.mask").toFloats();
      float[] chosen = new float[expected.length];
      double[] sorted = java.util.Arrays.stream(expected).sorted().toArray();
      for (int i = 0; i < chosen.length; i++) {
        chosen[i] = expected[i] >= sorted[128] ? 1 : 0;
      }
      assertThat(mask).containsExactly(chosen);
    }
    assertThat(rule.owned())
        .containsExactlyInAnyOrder(
            "0.weight.mask", "0.weight.scores", "2.weight.mask", "2.weight.scores");
  }

  private static double[] plainGradient(
      PretrainedModel network, TorchProgram program, Map<String, Tensor> batch) {
    AdaptedModel plain = network.attach(FreezeMask.all());
    Graph judged = Loss.CROSS_ENTROPY.attach(plain.graph(), FeedForwardNetwork.LOGITS);
    try (TorchProgram other = TorchEngine.compile(judged, CompileOptions.evaluation())) {
      for (String name : List.of("0.weight", "2.weight")) {
        float[] value = program.parameters().value(name).toFloats();
        float[] mask = program.parameters().value(name + ".mask").toFloats();
        for (int i = 0; i < value.length; i++) {
          value[i] *= mask[i];
        }
        other
            .parameters()
            .set(name, Tensor.ofFloats(network.graph().initializer(name).shape(), value));
      }
      other.backward(batch, Loss.OUTPUT);
      return other.parameters().gradient("0.weight").toDoubles();
    }
  }

  private static final class Stop extends RuntimeException {}

  @ParameterizedTest
  @EnumSource(Score.class)
  void aTrainingThatStoppedGoesOnBitForBit(Score score, @TempDir Path folder) {
    GradualSparsity plan = GradualSparsity.of(score, Pattern.share(0.6)).on(LAYERS);
    AdaptedModel whole = network().attach(plan);
    fit(Trainer.with(recipe(3)), whole);
    TrainingListener stopping =
        new TrainingListener() {
          @Override
          public void onStep(Step step) {
            if (step.step() == 25) {
              throw new Stop();
            }
          }
        };
    Trainer writing = Trainer.with(recipe(3)).checkpointing(folder, 5).listening(stopping);
    assertThatThrownBy(() -> fit(writing, network().attach(plan))).isInstanceOf(Stop.class);
    AdaptedModel resumed = network().attach(plan);
    fit(Trainer.with(recipe(3)).resuming(folder, 5), resumed);
    for (String name : whole.graph().trainable()) {
      assertThat(resumed.graph().initializer(name).contentEquals(whole.graph().initializer(name)))
          .as(name)
          .isTrue();
    }
    AdaptedModel other = network().attach(plan.scheduled(new CubicSchedule(0, 1)));
    assertThatThrownBy(() -> fit(Trainer.with(recipe(3)).resuming(folder, 5), other))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("written by another training");
  }

  private static TrainingResult fit(Trainer trainer, AdaptedModel model) {
    return trainer.fit(
        model, rows(512, 1), rows(256, 2), Loss.CROSS_ENTROPY, FeedForwardNetwork.LOGITS);
  }

  @Test
  void aSparseModelRecoversAndItsZerosStay() {
    PretrainedModel dense = train(network().attach(FreezeMask.all()), 12).model();
    SparseModel sparse =
        Sparsification.of(Importance.MAGNITUDE, Pattern.share(0.8))
            .on(LAYERS)
            .apply(dense, null, layer -> {});
    HeldSparsity held = new HeldSparsity(LAYERS, FreezeMask.all());
    PretrainedModel recovered = train(sparse.model().attach(held), 12).model();
    BatchSource judged = rows(400, 5);
    assertThat(accuracy(recovered, judged)).isGreaterThan(accuracy(sparse.model(), judged) + 0.05);
    for (String name : List.of("0.weight", "2.weight")) {
      float[] before = sparse.model().graph().initializer(name).toFloats();
      float[] after = recovered.graph().initializer(name).toFloats();
      int changed = 0;
      for (int i = 0; i < before.length; i++) {
        assertThat(after[i] == 0).isEqualTo(before[i] == 0);
        changed += after[i] == before[i] ? 0 : 1;
      }
      assertThat(changed).isGreaterThan(before.length / 10);
    }
    assertThat(recovered.graph().metadata())
        .containsEntry(
            SparseModel.METADATA_KEY,
            sparse.model().graph().metadata().get(SparseModel.METADATA_KEY));
  }

  @Test
  void whatDoesNotFitIsRefused() {
    assertThatThrownBy(() -> network().attach(new HeldSparsity(LAYERS, FreezeMask.all())))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("no weight of the targets is zero");
    GradualSparsity plan = GradualSparsity.of(Score.MOVEMENT, Pattern.parse("2:3"));
    assertThatThrownBy(() -> network().attach(plan.on(LAYERS)))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("'0' has 8 inputs");
    assertThatThrownBy(
            () ->
                new GradualSparsity(
                    Score.MOVEMENT,
                    Pattern.share(0.5),
                    CubicSchedule.standard(),
                    0,
                    LAYERS,
                    FreezeMask.all()))
        .isInstanceOf(RecipeException.class);
    AdaptedModel model =
        network().attach(GradualSparsity.of(Score.MOVEMENT, Pattern.share(0.5)).on(LAYERS));
    assertThatThrownBy(() -> model.save(Path.of("target/never"))).isInstanceOf(PeftException.class);
  }
}
