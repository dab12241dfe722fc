package io.peft4j.adapters.freeze;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapters.GoldenBatches;
import io.peft4j.adapters.MethodCase;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.network.Activation;
import io.peft4j.network.FeedForwardNetwork;
import io.peft4j.task.Loss;
import io.peft4j.train.Recipe;
import io.peft4j.train.StepRule;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GradualUnfreezingTest {
  private static final GoldenBatches BATCHES =
      GoldenBatches.read(MethodCase.training("dora").resolve("batches.safetensors"));
  private static final Recipe RECIPE =
      Recipe.builder().optEpochs(3).optBatchSize(4).optShuffle(false).optLearningRate(0.01).build();

  private static Set<String> names(Predicate<String> which) {
    return MethodCase.bert().graph().parameters().stream()
        .filter(which)
        .collect(Collectors.toSet());
  }

  private static final Set<String> LAYER_0 = names(n -> n.contains("encoder.layer.0."));
  private static final Set<String> EMBEDDINGS = names(n -> n.contains(".embeddings."));

  private static Set<String> both(Set<String> one, Set<String> other) {
    return names(n -> one.contains(n) || other.contains(n));
  }

  @Test
  void theLastLayerThawsFirstAndTheEmbeddingsLast() {
    Thaw rule = (Thaw) StepRule.of(MethodCase.bert().attach(FreezeMask.all().gradually(0.5)));
    // Three groups, half of 60 steps: one thaws every 10 steps.
    assertThat(rule.resting(0, 60)).isEqualTo(both(LAYER_0, EMBEDDINGS));
    assertThat(rule.resting(9, 60)).isEqualTo(both(LAYER_0, EMBEDDINGS));
    assertThat(rule.resting(10, 60)).isEqualTo(EMBEDDINGS);
    assertThat(rule.resting(19, 60)).isEqualTo(EMBEDDINGS);
    assertThat(rule.resting(20, 60)).isEmpty();
  }

  @Test
  void groupsThatAreNotSelectedTakeNoTime() {
    FreezeMask mask = FreezeMask.topLayers(2).gradually(1);
    Thaw rule = (Thaw) StepRule.of(MethodCase.bert().attach(mask));
    assertThat(rule.resting(4, 10)).isEqualTo(LAYER_0);
    assertThat(rule.resting(5, 10)).isEmpty();
  }

  private static AdaptedModel fit(Trainer trainer) {
    AdaptedModel model = MethodCase.bert().attach(FreezeMask.all().gradually(1));
    trainer.fit(model, BATCHES, null, Loss.CROSS_ENTROPY, "logits");
    return model;
  }

  private static final class Stopped extends RuntimeException {
    private static final long serialVersionUID = 1;
  }

  private static Trainer stopping(Trainer trainer, int after) {
    return trainer.listening(
        new TrainingListener() {
          @Override
          public void onStep(Step step) {
            if (step.step() + 1 == after) {
              throw new Stopped();
            }
          }
        });
  }

  @Test
  void whatRestsStaysBitForBitAndWhatThawedChanges(@TempDir Path folder) {
    Graph base = MethodCase.bert().graph();
    int steps = RECIPE.epochs() * ((BATCHES.size() + 3) / 4);
    int thawed = (steps + 2) / 3; // the first step with two groups
    Path states = folder.resolve("states");
    assertThatThrownBy(
            () -> fit(stopping(Trainer.with(RECIPE).checkpointing(states, thawed), thawed + 1)))
        .isInstanceOf(Stopped.class);
    Path newest = states.resolve("step-%09d".formatted(thawed));
    Map<String, Tensor> values = SafeTensors.read(newest.resolve("values.safetensors")).tensors();
    for (String name : base.parameters()) {
      boolean rested = LAYER_0.contains(name) || EMBEDDINGS.contains(name);
      assertThat(values.get(name).contentEquals(base.initializer(name))).as(name).isEqualTo(rested);
    }
    AdaptedModel whole = fit(Trainer.with(RECIPE));
    AdaptedModel resumed = fit(Trainer.with(RECIPE).resuming(states, thawed));
    for (String name : base.parameters()) {
      Tensor value = whole.graph().initializer(name);
      assertThat(value.contentEquals(base.initializer(name))).as(name).isFalse();
      assertThat(value.contentEquals(resumed.graph().initializer(name))).as(name).isTrue();
    }
  }

  @Test
  void layersWithoutNumbersHaveNoOrder() {
    FeedForwardNetwork.Builder network =
        FeedForwardNetwork.builder().input(3).hidden(4, Activation.RELU).output(2);
    assertThatThrownBy(() -> network.seed(1).build().attach(FreezeMask.all().gradually(0.5)))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("gradual_unfreezing needs a model whose layers are numbered");
  }

  @ParameterizedTest
  @ValueSource(doubles = {-0.1, 1.1, Double.NaN})
  void aShareOutOfRangeIsRefused(double share) {
    assertThatThrownBy(() -> FreezeMask.all().gradually(share))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("gradual_unfreezing");
  }

  @Test
  void theFolderKeepsIt(@TempDir Path folder) {
    FreezeMask mask = new FreezeMask(List.of(new Selection.Bias()), 0.25);
    MethodCase.bert().attach(mask).save(folder.resolve("adapter"));
    assertThat(MethodCase.bert().load(folder.resolve("adapter")).adapter().method())
        .isEqualTo(mask);
  }
}
