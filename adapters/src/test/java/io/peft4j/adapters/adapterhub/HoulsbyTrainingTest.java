package io.peft4j.adapters.adapterhub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.peft4j.AdaptedModel;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.GoldenBatches;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.bottleneck.Bottleneck;
import io.peft4j.adapters.bottleneck.Reduction;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.Loss;
import io.peft4j.train.Recipe;
import io.peft4j.train.Schedule;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A training run of AdapterHub's Houlsby adapter with a trained classifier, step by step. */
class HoulsbyTrainingTest {
  private static final Path CASE = MethodCase.training("houlsby");

  @TempDir Path folder;

  @Test
  void lossesNormsAndTrainedWeightsAreThoseOfTorch() {
    JsonNode golden = MethodCase.json(CASE.resolve("case.json"));
    Map<String, Tensor> expected = SafeTensors.read(CASE.resolve("expected.safetensors")).tensors();
    AdaptedModel model = started();
    List<TrainingListener.Step> steps = new ArrayList<>();
    TrainingListener notes =
        new TrainingListener() {
          @Override
          public void onStep(Step step) {
            steps.add(step);
          }
        };
    Trainer.with(recipe(golden.get("hyperparameters")))
        .listening(notes)
        .fit(
            model,
            GoldenBatches.read(CASE.resolve("batches.safetensors")),
            null,
            Loss.CROSS_ENTROPY,
            "logits");
    JsonNode tolerance = golden.get("tolerance");
    assertThat(steps.stream().mapToDouble(TrainingListener.Step::loss).toArray())
        .containsExactly(
            expected.get("losses").toDoubles(), within(tolerance.get("losses").asDouble()));
    double[] norms = expected.get("grad_norms").toDoubles();
    for (int i = 0; i < norms.length; i++) {
      assertThat(steps.get(i).gradientNorm()).isCloseTo(norms[i], within(1e-4 * norms[i]));
    }
    for (AdapterTensor tensor : model.adapter().tensors()) {
      MethodCase.assertClose(
          tensor.initializer(),
          model.graph().initializer(tensor.initializer()),
          expected.get("final." + key(model, tensor)),
          tolerance.get("final").asDouble(),
          0);
    }
  }

  @Test
  void whatWasTrainedIsSavedWithItsClassifierAndReadAgain() {
    AdaptedModel model = started();
    model.save(folder.resolve("adapter"));
    AdaptedModel read = MethodCase.bert().load(folder.resolve("adapter"));
    assertThat(read.graph().trainable()).isEqualTo(model.graph().trainable());
    for (String name : model.graph().trainable()) {
      assertThat(read.graph().initializer(name).contentEquals(model.graph().initializer(name)))
          .as(name)
          .isTrue();
    }
    assertThat(MethodCase.json(folder.resolve("adapter/head_config.json")).get("config").isNull())
        .isTrue();
    assertThat(
            SafeTensors.read(folder.resolve("adapter/model_head.safetensors")).tensors().keySet())
        .containsExactlyInAnyOrder("classifier.weight", "classifier.bias");
  }

  /** The reference calls its adapter "task". */
  private static String key(AdaptedModel model, AdapterTensor tensor) {
    return model.key(tensor).replace(".adapters.default.", ".adapters.task.");
  }

  private static AdaptedModel started() {
    Bottleneck houlsby = Bottleneck.houlsby().optReduction(Reduction.of(4)).build();
    AdaptedModel model =
        MethodCase.bert().attach(new WithHead(houlsby, List.of("classifier"), null));
    Map<String, Tensor> start = SafeTensors.read(CASE.resolve("init.safetensors")).tensors();
    assertThat(model.adapter().tensors()).hasSameSizeAs(start.keySet());
    Map<String, Tensor> values = new HashMap<>();
    for (AdapterTensor tensor : model.adapter().tensors()) {
      assertThat(start).containsKey(key(model, tensor));
      values.put(tensor.initializer(), start.get(key(model, tensor)));
    }
    model.update(values);
    return model;
  }

  private static Recipe recipe(JsonNode values) {
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
}
