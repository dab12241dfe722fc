package io.peft4j.adapters.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.CheckpointFormatException;
import io.peft4j.PeftException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.data.BatchSource;
import io.peft4j.data.FeatureBatches;
import io.peft4j.graph.Tensor;
import io.peft4j.network.Activation;
import io.peft4j.network.FeedForwardNetwork;
import io.peft4j.task.Loss;
import io.peft4j.task.Metrics;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import io.peft4j.train.TrainingResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ResumeTest {
  private static final int STEPS_PER_EPOCH = 6; // 44 rows in batches of 8, the last one short
  private static final Recipe RECIPE =
      Recipe.builder().optEpochs(3).optBatchSize(8).optLearningRate(0.01).build();

  @TempDir Path work;

  private static AdaptedModel model() {
    return FeedForwardNetwork.builder()
        .input(12)
        .hidden(16, Activation.GELU)
        .output(4)
        .seed(1)
        .build()
        .attach(Lora.rank(3).dropout(0.3).on(Targets.named(List.of("0", "2"))), 2);
  }

  private static BatchSource rows(int count, long seed) {
    Random random = new Random(seed);
    float[][] features = new float[count][12];
    long[] labels = new long[count];
    for (int i = 0; i < count; i++) {
      labels[i] = i % 4;
      for (int k = 0; k < 12; k++) {
        features[i][k] = (float) (random.nextGaussian() + (k % 4 == labels[i] ? 1 : 0));
      }
    }
    return new FeatureBatches("input", features, labels);
  }

  /** Notes every step; stops the training, as a crash would, after some. */
  private static final class Notes implements TrainingListener {
    private final List<Step> steps = new ArrayList<>();
    private final List<Metrics> metrics = new ArrayList<>();
    private final int stopAfter;

    Notes(int stopAfter) {
      this.stopAfter = stopAfter;
    }

    @Override
    public void onStep(Step step) {
      steps.add(step);
      if (steps.size() == stopAfter) {
        throw new Stopped();
      }
    }

    @Override
    public void onEpoch(int epoch, double meanLoss, Metrics validation) {
      metrics.add(validation);
    }
  }

  private static final class Stopped extends RuntimeException {
    private static final long serialVersionUID = 1;
  }

  private static TrainingResult fit(Trainer trainer, AdaptedModel model) {
    return trainer.fit(model, rows(44, 5), rows(20, 6), Loss.CROSS_ENTROPY, "logits");
  }

  private static void assertSameValues(AdaptedModel actual, AdaptedModel expected) {
    for (String name : expected.graph().trainable()) {
      Tensor value = actual.graph().initializer(name);
      assertThat(value.contentEquals(expected.graph().initializer(name))).as(name).isTrue();
    }
  }

  private static void assertSame(TrainingResult actual, TrainingResult expected) {
    assertThat(actual.epochs()).isEqualTo(expected.epochs());
    assertThat(actual.bestEpoch()).isEqualTo(expected.bestEpoch());
    assertThat(actual.steps()).isEqualTo(expected.steps());
  }

  @ParameterizedTest
  @CsvSource({
    "3, 1, 3", // stopped where a state had just been written, in the first epoch
    "8, 3, 6", // two steps behind the newest state, which is an epoch's end
    "11, 3, 9", // two steps behind a state in the midst of an epoch
    "17, 0, 12", // states only after epochs
    "18, 4, 16" // before the end of the last epoch is judged
  })
  void aResumedTrainingIsBitForBitTheOneThatNeverStopped(int stop, int every, int from) {
    Notes whole = new Notes(-1);
    AdaptedModel uninterrupted = model();
    TrainingResult expected = fit(Trainer.with(RECIPE).listening(whole), uninterrupted);
    assertThat(expected.steps()).isEqualTo(3 * STEPS_PER_EPOCH);

    Path states = work.resolve("states");
    assertThatThrownBy(
            () ->
                fit(
                    Trainer.with(RECIPE).checkpointing(states, every).listening(new Notes(stop)),
                    model()))
        .isInstanceOf(Stopped.class);
    Notes rest = new Notes(-1);
    AdaptedModel resumed = model();
    TrainingResult result =
        fit(Trainer.with(RECIPE).resuming(states, every).listening(rest), resumed);

    assertThat(rest.steps).isEqualTo(whole.steps.subList(from, whole.steps.size()));
    assertThat(rest.metrics).isEqualTo(whole.metrics.subList(from / STEPS_PER_EPOCH, 3));
    assertSame(result, expected);
    assertSameValues(resumed, uninterrupted);
  }

  @Test
  void aTrainingThatWasStoppedTwiceIsTheSameToo() {
    AdaptedModel uninterrupted = model();
    TrainingResult expected = fit(Trainer.with(RECIPE), uninterrupted);
    Path states = work.resolve("states");
    Trainer first = Trainer.with(RECIPE).checkpointing(states, 2).listening(new Notes(5));
    assertThatThrownBy(() -> fit(first, model())).isInstanceOf(Stopped.class);
    Trainer second = Trainer.with(RECIPE).resuming(states, 2).listening(new Notes(7));
    assertThatThrownBy(() -> fit(second, model())).isInstanceOf(Stopped.class);
    AdaptedModel resumed = model();
    assertSame(fit(Trainer.with(RECIPE).resuming(states, 2), resumed), expected);
    assertSameValues(resumed, uninterrupted);
  }

  @Test
  void aFinishedTrainingIsResumedToItsResult() throws IOException {
    AdaptedModel trained = model();
    TrainingResult expected = fit(Trainer.with(RECIPE).checkpointing(work, 5), trained);
    try (Stream<Path> states = Files.list(work)) {
      assertThat(states.map(Path::getFileName)).containsExactly(Path.of("step-000000018"));
    }
    AdaptedModel again = model();
    Notes notes = new Notes(-1);
    assertSame(fit(Trainer.with(RECIPE).resuming(work, 5).listening(notes), again), expected);
    assertThat(notes.steps).isEmpty();
    assertSameValues(again, trained);
  }

  @Test
  void withoutAStateThereIsNothingToResume() {
    Trainer trainer = Trainer.with(RECIPE).resuming(work.resolve("none"), 0);
    assertThatThrownBy(() -> fit(trainer, model()))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("there is no training state in " + work.resolve("none"));
  }

  @Test
  void anotherRecipeIsRefusedByField() {
    fit(Trainer.with(RECIPE).checkpointing(work, 0), model());
    Recipe other = Recipe.builder().optEpochs(3).optBatchSize(8).optLearningRate(0.02).build();
    AdaptedModel model = model();
    assertThatThrownBy(() -> fit(Trainer.with(other).resuming(work, 0), model))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("its recipe.learningRate is 0.01, now it is 0.02");
    assertSameValues(model, model());
  }

  @Test
  void anotherModelOrOtherDataAreRefused() {
    fit(Trainer.with(RECIPE).checkpointing(work, 0), model());
    Trainer trainer = Trainer.with(RECIPE).resuming(work, 0);
    AdaptedModel otherDropout =
        model().base().attach(Lora.rank(3).dropout(0.4).on(Targets.named(List.of("0", "2"))), 2);
    assertThatThrownBy(() -> fit(trainer, otherDropout)).hasMessageContaining("its model is");
    assertThatThrownBy(
            () -> trainer.fit(model(), rows(43, 5), rows(20, 6), Loss.CROSS_ENTROPY, "logits"))
        .hasMessageContaining("its trainingData is");
    assertThatThrownBy(() -> trainer.fit(model(), rows(44, 5), null, Loss.CROSS_ENTROPY, "logits"))
        .hasMessageContaining("its validationData is");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"state.json", "values.safetensors", "moments.safetensors", "best.safetensors"})
  void aDamagedStateIsRefused(String file) throws IOException {
    fit(Trainer.with(RECIPE).checkpointing(work, 0), model());
    Path damaged = work.resolve("step-000000018").resolve(file);
    byte[] bytes = Files.readAllBytes(damaged);
    Files.write(damaged, java.util.Arrays.copyOf(bytes, bytes.length - 10));
    AdaptedModel model = model();
    assertThatThrownBy(() -> fit(Trainer.with(RECIPE).resuming(work, 0), model))
        .isInstanceOf(CheckpointFormatException.class);
    assertSameValues(model, model());
  }
}
