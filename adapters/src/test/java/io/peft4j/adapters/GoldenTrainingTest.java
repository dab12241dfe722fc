package io.peft4j.adapters;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.peft4j.AdaptedModel;
import io.peft4j.data.BatchSource;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.Loss;
import io.peft4j.train.AdamW;
import io.peft4j.train.Recipe;
import io.peft4j.train.Schedule;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A whole training run of torch and PEFT, step by step. */
class GoldenTrainingTest {
  private static final Path CASE = MethodCase.training("adamw-linear");

  @TempDir static Path work;

  private static JsonNode golden;
  private static Map<String, Tensor> expected;
  private static AdaptedModel model;
  private static Map<String, Tensor> trained;
  private static final List<TrainingListener.Step> STEPS = new ArrayList<>();

  @BeforeAll
  static void train() throws IOException {
    golden = MethodCase.json(CASE.resolve("case.json"));
    expected = SafeTensors.read(CASE.resolve("expected.safetensors")).tensors();
    Path start = Files.createDirectory(work.resolve("start"));
    Files.copy(CASE.resolve("adapter_config.json"), start.resolve("adapter_config.json"));
    Files.copy(CASE.resolve("init.safetensors"), start.resolve("adapter_model.safetensors"));
    model = MethodCase.bert().load(start);
    BatchSource batches = GoldenBatches.read(CASE.resolve("batches.safetensors"));
    TrainingListener notes =
        new TrainingListener() {
          @Override
          public void onStep(Step step) {
            STEPS.add(step);
          }
        };
    Trainer.with(recipe()).listening(notes).fit(model, batches, null, Loss.CROSS_ENTROPY, "logits");
    model.save(work.resolve("trained"));
    trained =
        SafeTensors.read(work.resolve("trained").resolve("adapter_model.safetensors")).tensors();
  }

  private static Recipe recipe() {
    JsonNode values = golden.get("hyperparameters");
    return Recipe.builder()
        .optEpochs(1)
        .optBatchSize(GoldenBatches.ROWS)
        .optShuffle(false)
        .optLearningRate(values.get("lr").asDouble())
        .optWeightDecay(values.get("weight_decay").asDouble())
        .optSchedule(Schedule.valueOf(values.get("schedule").asText().toUpperCase(Locale.ROOT)))
        .optWarmupSteps(values.get("warmup_steps").asInt())
        .optClipNorm(values.get("clip").asDouble())
        .build();
  }

  @Test
  void everyStepHasItsLearningRate() {
    double[] rates = STEPS.stream().mapToDouble(TrainingListener.Step::learningRate).toArray();
    assertThat(rates).containsExactly(expected.get("lrs").toDoubles(), within(1e-15));
  }

  @Test
  void everyStepHasItsLoss() {
    double[] losses = STEPS.stream().mapToDouble(TrainingListener.Step::loss).toArray();
    double tolerance = golden.get("tolerance").get("losses").asDouble();
    assertThat(losses).containsExactly(expected.get("losses").toDoubles(), within(tolerance));
  }

  @Test
  void everyStepHasItsGradientNormBeforeClipping() {
    double[] norms = expected.get("grad_norms").toDoubles();
    assertThat(STEPS).hasSameSizeAs(norms);
    for (int i = 0; i < norms.length; i++) {
      assertThat(STEPS.get(i).gradientNorm())
          .as("step " + i)
          .isCloseTo(norms[i], within(1e-4 * norms[i]));
    }
  }

  @Test
  void theTrainedWeightsAreTheSame() {
    assertThat(trained.keySet())
        .containsExactlyInAnyOrderElementsOf(
            () -> golden.get("trainable").valueStream().map(JsonNode::asText).iterator());
    trained.forEach(
        (key, tensor) -> {
          JsonNode unstable = golden.get("unstable").get(key);
          double tolerance =
              unstable == null
                  ? golden.get("tolerance").get("final").asDouble()
                  : 4 * unstable.asDouble();
          MethodCase.assertClose(key, tensor, expected.get("final." + key), tolerance, 0);
        });
  }

  @Test
  void allButTheBiasDecays() {
    List<AdamW.Group> groups = AdamW.groups(model.graph(), 0.01);
    assertThat(groups.get(0).weightDecay()).isEqualTo(0.01);
    assertThat(groups.get(0).names()).hasSize(trained.size() - 1);
    assertThat(groups.get(1)).isEqualTo(new AdamW.Group(Set.of("classifier.bias"), 1, 0));
  }
}
