package io.peft4j.adapters.adamss;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.GoldenBatches;
import io.peft4j.adapters.MethodCase;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.task.Loss;
import io.peft4j.train.Recipe;
import io.peft4j.train.Schedule;
import io.peft4j.train.StepRule;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The groups that train as adaptive subspace allocation goes on. */
class SubspaceRuleTest {
  private static final int GROUPS = 4 * 3;
  private static final GoldenBatches BATCHES =
      GoldenBatches.read(MethodCase.training("dora").resolve("batches.safetensors"));

  /** Three groups in each of four layers. */
  private static Adamss method(int target, int initWarmup, int finalWarmup, int interval) {
    return new Adamss(
        8,
        3,
        1,
        false,
        0.1,
        0,
        true,
        target,
        initWarmup,
        finalWarmup,
        interval,
        0.85,
        0.85,
        3,
        Targets.named(List.of("query", "value")),
        List.of());
  }

  private static Trainer trainer(int epochs) {
    return Trainer.with(
        Recipe.builder()
            .optEpochs(epochs)
            .optBatchSize(GoldenBatches.ROWS)
            .optShuffle(false)
            .optSchedule(Schedule.CONSTANT)
            .optWarmupRatio(0)
            .build());
  }

  private static AdaptedModel trained(Trainer trainer, Adamss method) {
    AdaptedModel model = MethodCase.bert().attach(method);
    trainer.fit(model, BATCHES, null, Loss.CROSS_ENTROPY, "logits");
    return model;
  }

  private static Map<String, Tensor> values(AdaptedModel model) {
    Map<String, Tensor> values = new TreeMap<>();
    for (AdapterTensor tensor : model.adapter().tensors()) {
      values.put(
          tensor.module() + "." + tensor.parameter(),
          model.graph().initializer(tensor.initializer()));
    }
    return values;
  }

  @Test
  void theBudgetFallsFromAllGroupsToTheTarget() {
    Adamss method = method(4, 2, 10, 2);
    SubspaceRule rule = new SubspaceRule(method, MethodCase.bert().attach(method).adapter());
    assertThat(List.of(2, 4, 6, 8, 10).stream().map(rule::budget))
        .containsExactly(GROUPS, 7, 5, 4, 4);
  }

  /** The groups are frozen at the end of the first epoch, which both trainings share. */
  @Test
  void onlyTheTargetTrainsOn() {
    int steps = BATCHES.size() / GoldenBatches.ROWS;
    Adamss method = method(4, 0, steps - 1, steps - 1);
    Map<String, Tensor> early = values(trained(trainer(1), method));
    Map<String, Tensor> late = values(trained(trainer(2), method));
    int moved = 0;
    for (String key : early.keySet()) {
      if (!early.get(key).contentEquals(late.get(key))) {
        moved++;
      }
    }
    assertThat(moved).isEqualTo(2 * 4);
  }

  /** Plain gradient descent, the importance reckoned once more from what it leaves. */
  @Test
  void theMostImportantGroupsStay() {
    Adamss method = method(5, 0, 4, 4);
    AdaptedModel model = MethodCase.bert().attach(method);
    SubspaceRule rule = new SubspaceRule(method, model.adapter());
    Graph graph = rule.prepared(model.graph());
    List<AdapterTensor> tensors =
        model.adapter().tensors().stream()
            .filter(t -> model.graph().trainable().contains(t.initializer()))
            .toList();
    Map<String, double[]> means = new HashMap<>();
    Map<String, double[]> spreads = new HashMap<>();
    try (TorchParameters parameters = TorchParameters.of(graph, DType.FLOAT32);
        TorchProgram program =
            TorchEngine.compile(
                Loss.CROSS_ENTROPY.attach(graph, "logits"),
                CompileOptions.forTraining(),
                parameters)) {
      for (int step = 0; step <= 4; step++) {
        program.backward(BATCHES.batches().get(step), Loss.OUTPUT);
        rule.beforeUpdate(parameters, step, 5);
        for (AdapterTensor tensor : tensors) {
          String name = tensor.initializer();
          float[] gradient = parameters.gradient(name).toFloats();
          float[] values = parameters.value(name).toFloats();
          // PEFT forgets what it noted wherever it could have frozen groups, step 0 included.
          boolean fresh = step == 1;
          double[] mean = means.compute(name, (k, v) -> start(v, fresh, values.length));
          double[] spread = spreads.compute(name, (k, v) -> start(v, fresh, values.length));
          for (int i = 0; i < values.length; i++) {
            values[i] -= 0.1f * gradient[i];
            double importance = Math.abs(values[i] * gradient[i]);
            spread[i] = 0.85 * spread[i] + 0.15 * Math.abs(importance - mean[i]);
            mean[i] = 0.85 * mean[i] + 0.15 * importance;
          }
          parameters.set(name, Tensor.ofFloats(parameters.value(name).shape(), values));
        }
        rule.afterUpdate(parameters, step, 5);
        parameters.zeroGradients();
      }
      Map<String, Double> scores = new TreeMap<>();
      Set<String> resting = rule.resting(parameters, 5, 6);
      Map<String, Boolean> frozen = new TreeMap<>();
      for (AdapterTensor tensor : tensors) {
        String name = tensor.initializer();
        String group = tensor.module() + tensor.parameter().replaceAll(".*\\.", "#");
        double sum = 0;
        for (int i = 0; i < means.get(name).length; i++) {
          sum += means.get(name)[i] * spreads.get(name)[i];
        }
        scores.merge(group, sum / means.get(name).length, Double::sum);
        boolean rests = resting.contains(name);
        assertThat(frozen.computeIfAbsent(group, key -> rests)).isEqualTo(rests); // A and B alike
      }
      List<String> falling =
          scores.keySet().stream().sorted(Comparator.comparing(scores::get).reversed()).toList();
      for (int i = 0; i < GROUPS; i++) {
        assertThat(frozen.get(falling.get(i))).isEqualTo(i >= 5);
      }
    }
  }

  private static double[] start(double @Nullable [] before, boolean fresh, int size) {
    return before == null || fresh ? new double[size] : before;
  }

  @Test
  void whatTrainingNotedIsNotInTheModelAndTheFileIsReadBack(@TempDir Path work) {
    AdaptedModel model = trained(trainer(1), method(4, 1, 4, 1));
    assertThat(model.graph().initializers().keySet())
        .noneMatch(name -> name.matches(".*(importance|uncertainty|frozen|adamss\\.active).*"));
    model.save(work.resolve("adapter"));
    AdaptedModel read = MethodCase.bert().load(work.resolve("adapter"));
    assertThat(read.adapter().method()).isEqualTo(model.adapter().method());
    values(model)
        .forEach((key, value) -> assertThat(values(read).get(key).contentEquals(value)).isTrue());
    assertThat(model.merge().maxOutputDifference()).isLessThan(1e-5);
  }

  @Test
  void aResumedTrainingFreezesTheSameGroups(@TempDir Path work) {
    Adamss method = method(4, 0, 4, 2);
    AdaptedModel whole = trained(trainer(2), method);
    Trainer interrupted =
        trainer(2)
            .checkpointing(work, 3)
            .listening(
                new TrainingListener() {
                  @Override
                  public void onStep(Step step) {
                    if (step.step() == 4) {
                      throw new IllegalStateException("power cut");
                    }
                  }
                });
    assertThatThrownBy(() -> trained(interrupted, method)).hasMessage("power cut");
    AdaptedModel resumed = trained(trainer(2).resuming(work, 3), method);
    values(whole)
        .forEach(
            (key, value) ->
                assertThat(values(resumed).get(key).contentEquals(value)).as(key).isTrue());
  }

  @Test
  void aScheduleThatEndsAfterTheTrainingIsRefused() {
    assertThatThrownBy(() -> trained(trainer(1), method(4, 1, 1000, 100)))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("final_warmup 1000");
  }

  @Test
  void withoutItThereIsNoRule() {
    AdaptedModel model = MethodCase.peft("adamss").adapted();
    assertThat(StepRule.of(model)).isSameAs(StepRule.NONE);
  }
}
