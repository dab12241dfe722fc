package io.peft4j.adapters.freeze;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.DataProbe;
import io.peft4j.adapters.GoldenBatches;
import io.peft4j.adapters.MethodCase;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.Loss;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class ElementMaskTest {
  private static final MethodCase GOLDEN = MethodCase.peft("lora-ffn");
  private static final GoldenBatches BATCHES =
      GoldenBatches.read(MethodCase.training("dora").resolve("batches.safetensors"));

  private static final DataProbe PROBE = BATCHES.probe(2);

  private static Map<String, long[]> places(AttachedAdapter adapter) {
    Map<String, long[]> places = new LinkedHashMap<>();
    adapter.tensors().stream()
        .filter(t -> t.parameter().endsWith(".places"))
        .forEach(
            t ->
                places.put(
                    (t.module() + "." + t.parameter()).replace(".places", ""),
                    adapter.graph().initializer(t.initializer()).toLongs()));
    return places;
  }

  @Test
  void theLargestOfEachWeightAreChosen() {
    ElementMask mask =
        ElementMask.share(0.05)
            .within(FreezeMask.named(List.of("layer.0.output.dense")))
            .choosing(ElementChoice.MAGNITUDE);
    AdaptedModel model = MethodCase.bert().attach(mask);
    Map<String, long[]> places = places(model.adapter());
    assertThat(places).hasSize(2); // weight [32, 72] and bias [32]
    places.forEach(
        (name, chosen) -> {
          float[] all = MethodCase.bert().graph().initializer(name).toFloats();
          assertThat(chosen).hasSize((int) Math.round(0.05 * all.length)).isSorted();
          double least =
              Arrays.stream(chosen).mapToDouble(i -> Math.abs(all[(int) i])).min().orElseThrow();
          long larger = 0;
          for (float value : all) {
            larger += Math.abs(value) > least ? 1 : 0;
          }
          assertThat(larger).isEqualTo(chosen.length - 1);
        });
  }

  /** Squared gradients of single rows, from a freeze mask's own training graph. */
  private static Map<String, double[]> squares(List<String> weights) {
    Map<String, double[]> sums = new LinkedHashMap<>();
    AdaptedModel whole = MethodCase.bert().attach(FreezeMask.all());
    try (TorchProgram program = GOLDEN.withLoss(whole.graph(), CompileOptions.evaluation())) {
      for (Map<String, Tensor> batch : PROBE.batches()) {
        for (int row = 0; row < GoldenBatches.ROWS; row++) {
          int one = row;
          Map<String, Tensor> single = new LinkedHashMap<>(batch);
          single.replaceAll((name, tensor) -> tensor.selected(0, one));
          program.backward(single, "loss");
          for (String weight : weights) {
            double[] gradient = program.parameters().gradient(weight).toDoubles();
            double[] sum = sums.computeIfAbsent(weight, key -> new double[gradient.length]);
            for (int i = 0; i < sum.length; i++) {
              sum[i] += gradient[i] * gradient[i];
            }
          }
          program.parameters().zeroGradients();
        }
      }
    }
    return sums;
  }

  @Test
  void fisherChoosesWhatTheLossDependsOnMostOverAllWeights() {
    ElementMask mask = ElementMask.share(0.01).within(FreezeMask.topLayers(2));
    AttachedAdapter attached = mask.attach(MethodCase.bert().graph(), "default", 0);
    AttachedAdapter started = mask.started(attached, PROBE);
    Map<String, long[]> places = places(started);
    List<String> weights =
        MethodCase.bert().graph().parameters().stream().filter(n -> n.contains(".layer.")).toList();
    Map<String, double[]> squares = squares(weights);
    List<Double> all = new ArrayList<>();
    squares.values().forEach(scores -> Arrays.stream(scores).forEach(all::add));
    long count = Math.round(0.01 * all.size());
    double limit = all.stream().sorted().skip(all.size() - count).findFirst().orElseThrow();
    assertThat(places.values().stream().mapToLong(p -> p.length).sum()).isEqualTo(count);
    places.forEach(
        (name, chosen) ->
            assertThat(Arrays.stream(chosen).mapToDouble(i -> squares.get(name)[(int) i]))
                .as(name)
                .allMatch(score -> score >= limit * (1 - 1e-4))); // sums in float32
    assertThat(mask.started(started, PROBE).graph().trainable())
        .isEqualTo(started.graph().trainable());
    ElementMask found = (ElementMask) started.method();
    assertThat(found.counts().keySet()).isEqualTo(places.keySet());
    assertThat(found.started(started, PROBE)).isSameAs(started);
  }

  @ParameterizedTest
  @EnumSource(ElementChoice.class)
  void trainedOnlyTheChosenElementsChange(ElementChoice choice, @TempDir Path folder) {
    AdaptedModel model = MethodCase.bert().attach(ElementMask.share(0.02).choosing(choice), 3);
    Recipe recipe =
        Recipe.builder()
            .optEpochs(2)
            .optBatchSize(4)
            .optShuffle(false)
            .optLearningRate(0.01)
            .build();
    Trainer.with(recipe).fit(model, BATCHES, null, Loss.CROSS_ENTROPY, "logits");
    Graph base = MethodCase.bert().graph();
    Graph merged = model.merge().model().graph();
    Map<String, long[]> places = places(model.adapter());
    long changed = 0;
    for (String name : base.parameters()) {
      float[] before = base.initializer(name).toFloats();
      float[] after = merged.initializer(name).toFloats();
      for (int i = 0; i < before.length; i++) {
        if (before[i] != after[i]) {
          assertThat(Arrays.binarySearch(places.getOrDefault(name, new long[0]), i))
              .as("%s at %d", name, i)
              .isNotNegative();
          changed++;
        }
      }
    }
    assertThat(changed).isPositive();
    Tensor logits = MethodCase.run(model.graph(), GOLDEN.inputs()).get("logits");
    assertClose("merged", MethodCase.run(merged, GOLDEN.inputs()).get("logits"), logits, 0, 0);
    model.save(folder.resolve("adapter"));
    AdaptedModel read = MethodCase.bert().load(folder.resolve("adapter"));
    assertClose("read", MethodCase.run(read.graph(), GOLDEN.inputs()).get("logits"), logits, 0, 0);
    assertThat(((ElementMask) read.adapter().method()).started(read.adapter(), PROBE))
        .isSameAs(read.adapter());
  }

  @ParameterizedTest
  @CsvSource({
    "0, share must be above 0",
    "1.5, share must be above 0",
    "NaN, share must be above 0"
  })
  void aShareOutOfRangeIsRefused(double share, String message) {
    assertThatThrownBy(() -> ElementMask.share(share))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining(message);
  }

  @Test
  void countsThatDoNotFitTheModelAreNamed(@TempDir Path folder) throws Exception {
    Path adapter = folder.resolve("adapter");
    MethodCase.bert().attach(ElementMask.share(0.5).within(FreezeMask.head())).save(adapter);
    Path config = adapter.resolve("adapter_config.json");
    String text = Files.readString(config);
    Files.writeString(
        config, text.replaceFirst("\"classifier.bias\" : \\d+", "\"classifier.bias\" : 9"));
    assertThatThrownBy(() -> MethodCase.bert().load(adapter))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("counts is 9 for 'classifier.bias', which has 5 elements");
    Files.writeString(config, text.replace("classifier.bias", "classifier.shift"));
    assertThatThrownBy(() -> MethodCase.bert().load(adapter))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("classifier.shift");
  }

  @Test
  void placesOutsideOfTheWeightAreNamed(@TempDir Path folder) {
    Path adapter = folder.resolve("adapter");
    MethodCase.bert().attach(ElementMask.share(0.5).within(FreezeMask.head())).save(adapter);
    Path file = adapter.resolve("adapter_model.safetensors");
    Map<String, Tensor> tensors = new LinkedHashMap<>(SafeTensors.read(file).tensors());
    String key = "base_model.model.classifier.bias.places";
    long[] places = tensors.get(key).toLongs();
    places[0] = 5;
    tensors.put(key, Tensor.ofLongs(tensors.get(key).shape(), places).cast(DType.INT32));
    SafeTensors.write(file, tensors, Map.of("format", "pt"));
    assertThatThrownBy(() -> MethodCase.bert().load(adapter))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining(key + "' holds the index 5");
  }
}
