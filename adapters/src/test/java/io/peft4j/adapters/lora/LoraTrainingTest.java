package io.peft4j.adapters.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.peft4j.AdaptedModel;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.GoldenBatches;
import io.peft4j.adapters.MethodCase;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.Loss;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Training runs of PEFT with LoRA+ and DoRA, step by step. */
class LoraTrainingTest {
  @ParameterizedTest
  @CsvSource({"loraplus,16", "dora,1"})
  void lossesNormsAndFinalWeightsAreThoseOfPeft(String name, double ratio, @TempDir Path work)
      throws IOException {
    Path folder = MethodCase.training(name);
    JsonNode golden = MethodCase.json(folder.resolve("case.json"));
    Map<String, Tensor> expected =
        SafeTensors.read(folder.resolve("expected.safetensors")).tensors();
    AdaptedModel model = start(folder, ratio, work);
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
            GoldenBatches.read(folder.resolve("batches.safetensors")),
            null,
            Loss.CROSS_ENTROPY,
            "logits");
    assertThat(steps.stream().mapToDouble(TrainingListener.Step::loss).toArray())
        .containsExactly(expected.get("losses").toDoubles(), within(1e-5));
    double[] norms = expected.get("grad_norms").toDoubles();
    for (int i = 0; i < norms.length; i++) {
      assertThat(steps.get(i).gradientNorm()).isCloseTo(norms[i], within(1e-4 * norms[i]));
    }
    model.save(work.resolve("trained"));
    Map<String, Tensor> trained =
        SafeTensors.read(work.resolve("trained/adapter_model.safetensors")).tensors();
    double tolerance = golden.at("/tolerance/final").asDouble();
    assertThat(trained)
        .allSatisfy(
            (key, tensor) ->
                MethodCase.assertClose(key, tensor, expected.get("final." + key), tolerance, 0));
  }

  private static AdaptedModel start(Path folder, double ratio, Path work) throws IOException {
    Path start = Files.createDirectory(work.resolve("start"));
    Files.copy(folder.resolve("adapter_config.json"), start.resolve("adapter_config.json"));
    Files.copy(folder.resolve("init.safetensors"), start.resolve("adapter_model.safetensors"));
    AdaptedModel read = MethodCase.bert().load(start);
    Lora lora = ((Lora) read.adapter().method()).loraplusLrRatio(ratio);
    AdaptedModel model = MethodCase.bert().attach(lora);
    Map<String, Tensor> values = new HashMap<>();
    for (AdapterTensor tensor : read.adapter().tensors()) {
      values.put(tensor.initializer(), read.graph().initializer(tensor.initializer()));
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
        .optWarmupSteps(values.get("warmup_steps").asInt())
        .optClipNorm(values.get("clip").asDouble())
        .build();
  }
}
