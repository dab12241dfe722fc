package io.peft4j.adapters.freeze;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.MergedModel;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapters.FiniteDifferences;
import io.peft4j.adapters.MethodCase;
import io.peft4j.data.BatchSource;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.network.Activation;
import io.peft4j.network.FeedForwardNetwork;
import io.peft4j.task.Loss;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class FreezeMaskTest {
  private static final MethodCase GOLDEN = MethodCase.peft("lora-ffn");

  /** A mask, and the names of the checkpoint that it must let train. */
  static Stream<Object[]> masks() {
    return Stream.of(
        mask(FreezeMask.all(), name -> true),
        mask(FreezeMask.head(), name -> name.startsWith("classifier.")),
        mask(FreezeMask.bias(), name -> name.endsWith(".bias")),
        mask(FreezeMask.norm(), name -> name.contains("LayerNorm")),
        mask(FreezeMask.topLayers(1), name -> name.contains("encoder.layer.1.")),
        mask(FreezeMask.topLayers(2), name -> name.contains("encoder.layer.")),
        mask(
            FreezeMask.named(List.of("pooler.dense", "layer.0.output.dense.bias")),
            name ->
                name.startsWith("bert.pooler.dense")
                    || name.equals("bert.encoder.layer.0.output.dense.bias")),
        mask(
            FreezeMask.norm().and(FreezeMask.head()),
            name -> name.contains("LayerNorm") || name.startsWith("classifier.")));
  }

  private static Object[] mask(FreezeMask mask, Predicate<String> expected) {
    return new Object[] {mask, expected};
  }

  @ParameterizedTest
  @MethodSource("masks")
  void exactlyTheChosenWeightsTrain(FreezeMask mask, Predicate<String> expected) {
    Graph base = MethodCase.bert().graph();
    Set<String> names = new TreeSet<>(base.parameters());
    names.removeIf(expected.negate());
    assertThat(names).isNotEmpty();
    assertThat(new TreeSet<>(MethodCase.bert().attach(mask).graph().trainable())).isEqualTo(names);
  }

  @ParameterizedTest
  @MethodSource("masks")
  void gradientsAgreeWithFiniteDifferences(FreezeMask mask, Predicate<String> expected) {
    AdaptedModel model = MethodCase.bert().attach(mask);
    try (TorchProgram program = GOLDEN.withLoss(model.graph(), CompileOptions.evaluation())) {
      program.backward(GOLDEN.labelled(), "loss");
      assertThat(new TreeSet<>(program.parameters().names()))
          .isEqualTo(new TreeSet<>(model.graph().trainable()));
    }
    FiniteDifferences.checkSome(model, GOLDEN.labelled(), 2);
  }

  @ParameterizedTest
  @MethodSource("masks")
  void savedAndLoadedItIsTheSame(
      FreezeMask mask, Predicate<String> expected, @TempDir Path folder) {
    AdaptedModel model = changed(MethodCase.bert().attach(mask));
    model.save(folder.resolve("adapter"));
    AdaptedModel again = MethodCase.bert().load(folder.resolve("adapter"));
    assertThat(again.adapter().method()).isEqualTo(mask);
    assertThat(again.graph().trainable()).isEqualTo(model.graph().trainable());
    model
        .graph()
        .trainable()
        .forEach(
            name ->
                assertThat(
                        again
                            .graph()
                            .initializer(name)
                            .contentEquals(model.graph().initializer(name)))
                    .as(name)
                    .isTrue());
  }

  @Test
  void mergingPutsTheTrainedWeightsInPlace() {
    AdaptedModel model = changed(MethodCase.bert().attach(FreezeMask.topLayers(1)));
    MergedModel merged = model.merge();
    assertThat(merged.maxOutputDifference()).isZero();
    Graph base = MethodCase.bert().graph();
    for (String name : base.parameters()) {
      boolean trained = model.graph().trainable().contains(name);
      assertThat(merged.model().graph().initializer(name).contentEquals(base.initializer(name)))
          .as(name)
          .isEqualTo(!trained);
    }
    assertThat(merged.model().graph().trainable()).isEmpty();
  }

  @Test
  void trainingBiasesLowersTheLossAndChangesNothingElse() {
    AdaptedModel model = MethodCase.bert().attach(FreezeMask.bias());
    Recipe recipe =
        Recipe.builder().optEpochs(20).optBatchSize(3).optLearningRate(1e-2).optSeed(1).build();
    TrainingResult result =
        Trainer.with(recipe).fit(model, goldenRows(), null, Loss.CROSS_ENTROPY, "logits");
    assertThat(result.epochs().get(19).meanLoss())
        .isLessThan(0.75 * result.epochs().get(0).meanLoss());
    Graph base = MethodCase.bert().graph();
    for (String name : base.parameters()) {
      boolean same = model.graph().initializer(name).contentEquals(base.initializer(name));
      // The bias of the keys shifts all scores of a query alike, which softmax removes.
      if (!name.endsWith("key.bias")) {
        assertThat(same).as(name).isEqualTo(!name.endsWith(".bias"));
      }
    }
  }

  @Test
  void whatTheModelLacksIsAnError() {
    assertThatThrownBy(() -> MethodCase.bert().attach(FreezeMask.topLayers(3)))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("top-layers is 3")
        .hasMessageContaining("has 2 layers");
    assertThatThrownBy(
            () ->
                MethodCase.bert().attach(FreezeMask.named(List.of("pooler.dense", "pooler.dens"))))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("'pooler.dens'")
        .hasMessageContaining("pooler.dense");
    var plain = FeedForwardNetwork.builder().input(4).hidden(3, Activation.RELU).output(2).build();
    assertThatThrownBy(() -> plain.attach(FreezeMask.topLayers(1)))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("numbered");
  }

  @Test
  void namesThatNameNothingAreRefused() {
    for (List<String> names : List.of(List.<String>of(), List.of(" "), List.of("a,b"))) {
      assertThatThrownBy(() -> FreezeMask.named(names))
          .isInstanceOf(RecipeException.class)
          .hasMessageContaining("'named' must hold one or more names");
    }
    assertThatThrownBy(() -> Selection.parse("named:")).isInstanceOf(RecipeException.class);
  }

  @ParameterizedTest
  @CsvSource({
    "adapter_config.json, '\"bias\"', '\"biases\"', selections must be among all",
    "adapter_config.json, '\"bias\"', '\"biases\"', adapter_config.json: selections must be",
    "adapter_config.json, '\"bias\"', '\"named:\"', must hold one or more names",
    "adapter_config.json, selections, choices, selections: a freeze mask needs at least one",
    "adapter_config.json, FREEZE_MASK, FROZEN, peft_type 'FROZEN' is not supported",
  })
  void aDamagedConfigurationIsNamed(
      String file, String from, String to, String message, @TempDir Path folder)
      throws IOException {
    Path adapter = folder.resolve("adapter");
    MethodCase.bert().attach(FreezeMask.bias()).save(adapter);
    Path config = adapter.resolve(file);
    Files.writeString(config, Files.readString(config).replace(from, to));
    assertThatThrownBy(() -> MethodCase.bert().load(adapter))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining(message);
  }

  @Test
  void missingExtraAndMisshapenTensorsAreNamed(@TempDir Path folder) {
    Path adapter = folder.resolve("adapter");
    MethodCase.bert().attach(FreezeMask.bias()).save(adapter);
    Path file = adapter.resolve("adapter_model.safetensors");
    Map<String, Tensor> whole = SafeTensors.read(file).tensors();
    String key = "base_model.model.classifier.bias";
    damaged(adapter, whole, tensors -> tensors.remove(key), "lacks the tensor '" + key);
    damaged(
        adapter,
        whole,
        tensors -> tensors.put("base_model.model.extra", Tensor.scalar(1f)),
        "holds the tensor 'base_model.model.extra'");
    damaged(
        adapter,
        whole,
        tensors -> tensors.put(key, Tensor.ofFloats(new long[] {2}, 1, 2)),
        "'" + key + "' has the shape [2]");
  }

  private static void damaged(
      Path adapter,
      Map<String, Tensor> whole,
      Consumer<Map<String, Tensor>> damage,
      String message) {
    Map<String, Tensor> tensors = new LinkedHashMap<>(whole);
    damage.accept(tensors);
    SafeTensors.write(adapter.resolve("adapter_model.safetensors"), tensors, Map.of());
    assertThatThrownBy(() -> MethodCase.bert().load(adapter))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining(message);
  }

  /** The model with every trained value moved a little. */
  private static AdaptedModel changed(AdaptedModel model) {
    Map<String, Tensor> values = new LinkedHashMap<>();
    for (String name : model.graph().trainable()) {
      Tensor old = model.graph().initializer(name);
      float[] moved = old.toFloats();
      for (int i = 0; i < moved.length; i++) {
        moved[i] += 0.01f * (i % 3 - 1);
      }
      values.put(name, Tensor.ofFloats(old.shape(), moved));
    }
    model.update(values);
    return model;
  }

  private static BatchSource goldenRows() {
    return new BatchSource() {
      @Override
      public int size() {
        return (int) GOLDEN.io().get("labels").size();
      }

      @Override
      public Map<String, Tensor> batch(int[] rows) {
        return GOLDEN.labelled();
      }

      @Override
      public int length(int row) {
        return 1;
      }

      @Override
      public long label(int row) {
        return GOLDEN.io().get("labels").toLongs()[row];
      }
    };
  }
}
