package io.peft4j.adapters.adalora;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.peft.PeftFormat;
import io.peft4j.data.BatchSource;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.Loss;
import io.peft4j.train.Recipe;
import io.peft4j.train.StepRule;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import io.peft4j.train.TrainingResult;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The ranks while training goes on: PEFT's own course of ten steps, and what the Trainer makes. */
class AdaLoraTrainingTest {
  private static final MethodCase GOLDEN = MethodCase.peft("adalora-bert");
  private static final Map<String, Tensor> COURSE =
      SafeTensors.read(GOLDEN.folder().resolve("trajectory.safetensors")).tensors();
  private static final int STEPS = 10;
  private static final double RATE = 0.05;

  private static AdaLora method(int tinit, int tfinal) {
    AdaLora stored = (AdaLora) GOLDEN.adapted().adapter().method();
    return stored.ranks(Map.of()).scheduled(tinit, tfinal, 1);
  }

  private static Map<String, Tensor> batch(int step) {
    Map<String, Tensor> batch = new LinkedHashMap<>();
    for (String key : List.of("input_ids", "attention_mask", "token_type_ids", "labels")) {
      batch.put(key, COURSE.get("step" + step + "." + key));
    }
    return batch;
  }

  /** What happens in ten steps of plain gradient descent. */
  private record Course(List<Double> losses, List<Map<String, Tensor>> after, AdaptedModel end) {}

  private static Course course(Map<String, Tensor> head) {
    AdaptedModel model = GOLDEN.base().attach(method(2, 2));
    Map<String, Tensor> start = new LinkedHashMap<>();
    Map<String, String> keys = new LinkedHashMap<>();
    for (AdapterTensor tensor : model.adapter().tensors()) {
      String key = PeftFormat.key(tensor);
      keys.put(tensor.initializer(), key);
      start.put(
          tensor.initializer(), head.containsKey(key) ? head.get(key) : COURSE.get("start." + key));
    }
    model.update(start);
    StepRule rule = StepRule.of(model);
    Graph graph = rule.prepared(model.graph());
    Graph judged = rule.judging(Loss.CROSS_ENTROPY).attach(graph, "logits");
    List<Double> losses = new ArrayList<>();
    List<Map<String, Tensor>> after = new ArrayList<>();
    try (TorchParameters parameters = TorchParameters.of(graph, DType.FLOAT32);
        TorchProgram program =
            TorchEngine.compile(judged, CompileOptions.forTraining(), parameters)) {
      for (int step = 0; step < STEPS; step++) {
        losses.add(program.backward(batch(step), Loss.OUTPUT).get(Loss.OUTPUT).item());
        rule.beforeUpdate(parameters, step, STEPS);
        for (String name : keys.keySet()) {
          parameters.set(name, minus(parameters.value(name), parameters.gradient(name), RATE));
        }
        rule.afterUpdate(parameters, step, STEPS);
        parameters.zeroGradients();
        Map<String, Tensor> values = new LinkedHashMap<>();
        keys.forEach((name, key) -> values.put(key, parameters.value(name)));
        after.add(values);
      }
      model.update(parameters.values());
      model.become(rule.finished(model.adapter()));
    }
    return new Course(losses, after, model);
  }

  private static Tensor minus(Tensor a, Tensor b, double factor) {
    float[] values = a.toFloats();
    float[] other = b.toFloats();
    for (int i = 0; i < values.length; i++) {
      values[i] -= (float) (factor * other[i]);
    }
    return Tensor.ofFloats(a.shape(), values);
  }

  /**
   * The golden data says how the classification head ended; this file how it must have started to
   * end so, found by repeating the course.
   */
  private static Map<String, Tensor> headAtStart() {
    return SafeTensors.read(GOLDEN.folder().resolve("head_start.safetensors")).tensors();
  }

  @Test
  void lossesMasksAndCutTensorsAreThoseOfPeft() {
    Map<String, Tensor> stored =
        SafeTensors.read(GOLDEN.folder().resolve("adapter_model.safetensors")).tensors();
    Course course = course(headAtStart());
    assertThat(course.losses().stream().mapToDouble(x -> x).toArray())
        .containsExactly(COURSE.get("losses").toDoubles(), within(1e-5));
    for (int step = 0; step < STEPS; step++) {
      Map<String, Tensor> after = course.after().get(step);
      for (String key : after.keySet()) {
        if (key.endsWith("lora_E")) {
          String name = "step" + step + ".after." + key;
          assertClose(name, after.get(key), COURSE.get(name), 1e-5, 0);
          for (int i = 0; i < 6; i++) {
            assertThat(after.get(key).toFloats()[i] == 0)
                .isEqualTo(COURSE.get(name).toFloats()[i] == 0);
          }
        }
      }
    }
    for (AdapterTensor tensor : course.end().adapter().tensors()) {
      String key = PeftFormat.key(tensor);
      Tensor value = course.end().graph().initializer(tensor.initializer());
      assertClose(key, value, stored.get(key), 2e-5, 0);
    }
  }

  @Test
  void budgetsAreThoseOfPeft() {
    AdaptedModel model = GOLDEN.base().attach(method(2, 2));
    BudgetRule rule = new BudgetRule(method(2, 2), Triplets.of(model.adapter()));
    long[] budgets = COURSE.get("budgets").toLongs();
    for (int step = 0; step < STEPS; step++) {
      assertThat(rule.budget(step, STEPS)).isEqualTo((int) budgets[step]);
    }
  }

  @Test
  void regularisedGradientsAreThoseOfPeft() {
    AdaptedModel model = GOLDEN.adapted();
    Graph judged = StepRule.of(model).judging(Loss.CROSS_ENTROPY).attach(model.graph(), "logits");
    try (TorchProgram program = TorchEngine.compile(judged, CompileOptions.evaluation())) {
      Tensor loss = program.backward(GOLDEN.labelled(), Loss.OUTPUT).get(Loss.OUTPUT);
      assertClose("loss", loss, GOLDEN.io().get("loss_total"), 1e-5, 0);
      for (AdapterTensor tensor : model.adapter().tensors()) {
        String key = "grad_total." + PeftFormat.key(tensor);
        Tensor gradient = program.parameters().gradient(tensor.initializer());
        assertClose(key, gradient, GOLDEN.io().get(key), 1e-5, 1e-4);
      }
    }
  }

  /** The ten batches, three rows each. */
  private record Batches() implements BatchSource {
    @Override
    public int size() {
      return 3 * STEPS;
    }

    @Override
    public Map<String, Tensor> batch(int[] rows) {
      return AdaLoraTrainingTest.batch(rows[0] / 3);
    }

    @Override
    public int length(int row) {
      return 9;
    }

    @Override
    public long label(int row) {
      return AdaLoraTrainingTest.batch(row / 3).get("labels").toLongs()[row % 3];
    }
  }

  private static Trainer trainer(int epochs) {
    return Trainer.with(
        Recipe.builder().optEpochs(epochs).optBatchSize(3).optShuffle(false).build());
  }

  private static TrainingResult fit(Trainer trainer, AdaptedModel model) {
    return trainer.fit(model, new Batches(), null, Loss.CROSS_ENTROPY, "logits");
  }

  @Test
  void theTrainerEndsWithTheTargetRankAndTheFileHoldsNoMore(@TempDir Path work) {
    AdaptedModel model = GOLDEN.base().attach(method(AdaLora.AUTOMATIC, AdaLora.AUTOMATIC));
    fit(trainer(3), model);
    AdaLora cut = (AdaLora) model.adapter().method();
    assertThat(cut.rankPattern().values().stream().mapToInt(r -> r).sum()).isEqualTo(4 * 3);
    for (Triplets layer : Triplets.of(model.adapter())) {
      assertThat(model.graph().initializer(layer.a()).dim(0)).isEqualTo(cut.rank(layer.path()));
    }
    assertThat(model.graph().initializers().keySet())
        .noneMatch(name -> name.contains(".importance") || name.endsWith(".mask"));
    model.save(work.resolve("adapter"));
    AdaptedModel read = GOLDEN.base().load(work.resolve("adapter"));
    assertThat(
            MethodCase.run(read.graph(), GOLDEN.inputs())
                .get("logits")
                .contentEquals(MethodCase.run(model.graph(), GOLDEN.inputs()).get("logits")))
        .isTrue();
    assertThat(model.merge().maxOutputDifference()).isLessThan(1e-5);
  }

  @Test
  void aResumedTrainingCutsTheSameRanks(@TempDir Path work) {
    AdaptedModel whole = GOLDEN.base().attach(method(3, 5));
    fit(trainer(2), whole);
    AdaptedModel stopped = GOLDEN.base().attach(method(3, 5));
    Trainer interrupted =
        trainer(2)
            .checkpointing(work, 4)
            .listening(
                new TrainingListener() {
                  @Override
                  public void onStep(Step step) {
                    if (step.step() == 9) {
                      throw new IllegalStateException("power cut");
                    }
                  }
                });
    assertThatThrownBy(() -> fit(interrupted, stopped)).hasMessage("power cut");
    AdaptedModel resumed = GOLDEN.base().attach(method(3, 5));
    fit(trainer(2).resuming(work, 4), resumed);
    assertThat(resumed.adapter().method()).isEqualTo(whole.adapter().method());
    for (AdapterTensor tensor : whole.adapter().tensors()) {
      assertThat(
              resumed
                  .graph()
                  .initializer(tensor.initializer())
                  .contentEquals(whole.graph().initializer(tensor.initializer())))
          .isTrue();
    }
  }

  @Test
  void aLayerThatLosesEveryTripletCanBeSavedAndMerged(@TempDir Path work) {
    AdaLora none = method(2, 2).ranks(Map.of("bert.encoder.layer.0.attention.self.query", 0));
    AdaptedModel model = GOLDEN.base().attach(none);
    fit(trainer(1), model);
    model.save(work.resolve("adapter"));
    AdaptedModel read = GOLDEN.base().load(work.resolve("adapter"));
    assertThat(
            ((AdaLora) read.adapter().method()).rank("bert.encoder.layer.0.attention.self.query"))
        .isZero();
    assertThat(read.merge().maxOutputDifference()).isLessThan(1e-5);
  }

  @Test
  void aScheduleThatLeavesNoStepToCutInIsRefused() {
    AdaptedModel model = GOLDEN.base().attach(method(8, 2));
    assertThatThrownBy(() -> fit(trainer(1), model))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("tinit 8 and tfinal 2");
  }

  @Test
  void aRankOfALayerThatIsNotAdaptedIsRefused() {
    AdaLora wrong = method(2, 2).ranks(Map.of("pooler.dense", 2));
    assertThatThrownBy(() -> GOLDEN.base().attach(wrong))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("pooler.dense");
  }
}
