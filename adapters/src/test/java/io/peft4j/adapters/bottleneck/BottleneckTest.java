package io.peft4j.adapters.bottleneck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapters.FiniteDifferences;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.composition.AdapterFusion;
import io.peft4j.adapters.composition.Member;
import io.peft4j.adapters.composition.Mixing;
import io.peft4j.adapters.composition.Stack;
import io.peft4j.adapters.hublora.HubLora;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Settings of bottlenecks that no golden case has, and what holds for all. */
class BottleneckTest {
  private static final MethodCase CASE = MethodCase.peft("lora-ffn");

  @TempDir Path folder;

  private static Bottleneck.Builder small() {
    return Bottleneck.pfeiffer().optReduction(Reduction.of(8)).optNonLinearity("tanh");
  }

  private static Norms norms(
      boolean before, boolean after, Norms.Residual residual, boolean own, boolean first) {
    return new Norms(before, after, own, own, residual, first);
  }

  static Stream<Named<ComposableMethod>> settings() {
    Map<String, ComposableMethod> methods = new LinkedHashMap<>();
    methods.put(
        "own norms, residual before the second",
        small().optNorms(norms(true, true, Norms.Residual.BLOCK, true, true)).build());
    methods.put(
        "own norms, residual behind the second",
        small().optNorms(norms(false, true, Norms.Residual.INPUT, true, false)).build());
    methods.put(
        "residual from the sum",
        small().optNorms(norms(true, true, Norms.Residual.SUM, false, false)).build());
    methods.put(
        "in place of the block's end",
        small()
            .optNorms(norms(false, false, Norms.Residual.BLOCK, false, false))
            .optAfterAttention(true)
            .build());
    methods.put(
        "one width a layer",
        small().optReduction(new Reduction(4.0, Map.of(1, 16.0))).optAfterAttention(true).build());
    methods.put(
        "beside attention and feed-forward",
        Bottleneck.scaledParallel()
            .optNonLinearity("gelu_new")
            .optAfterAttention(true)
            .optReduction(Reduction.of(8))
            .optGating(true)
            .build());
    methods.put(
        "shared weights",
        small()
            .optReduction(Reduction.of(4))
            .optPhm(
                new Phm(
                    4, true, true, true, false, true, 1, true, "uniform", 1e-4, "glorot-normal"))
            .build());
    methods.put("glow", small().optCoupling(Coupling.glow(4)).build());
    methods.put(
        "stack",
        new Stack(
            List.of(
                new Member("language", small().optCoupling(Coupling.nice(2)).build()),
                new Member("task", Bottleneck.houlsby().optReduction(Reduction.of(8)).build()))));
    methods.put(
        "fusion behind attention too, value behind the sum",
        new AdapterFusion(
            List.of(
                new Member("a", small().optAfterAttention(true).build()),
                new Member("b", small().optAfterAttention(true).build())),
            new Mixing(true, false, true, true, true, false, false, true, 0),
            true));
    return methods.entrySet().stream().map(e -> Named.of(e.getKey(), e.getValue()));
  }

  @ParameterizedTest
  @MethodSource("settings")
  void gradientsAgreeWithFiniteDifferencesInDoublePrecision(ComposableMethod method) {
    FiniteDifferences.checkSome(MethodCase.bert().attach(method, 3), CASE.labelled(), 1);
  }

  @Test
  void everySettingIsReadBackAsItWasSaved() {
    List<ComposableMethod> methods =
        settings().map(Named::getPayload).filter(m -> !(m instanceof Stack)).toList();
    for (int i = 0; i < methods.size(); i++) {
      AdaptedModel adapted = MethodCase.bert().attach(methods.get(i), 5);
      Path saved = folder.resolve("adapter" + i);
      adapted.save(saved);
      AdaptedModel read = MethodCase.bert().load(saved);
      assertThat(read.adapter().method()).isEqualTo(methods.get(i));
      Tensor logits = MethodCase.run(adapted.graph(), CASE.inputs()).get("logits");
      Tensor again = MethodCase.run(read.graph(), CASE.inputs()).get("logits");
      assertThat(again.contentEquals(logits)).isTrue();
    }
  }

  static Stream<ComposableMethod> startingUnchanged() {
    return Stream.of(
        Bottleneck.parallel().build(),
        Bottleneck.scaledParallel().build(),
        HubLora.lora(),
        HubLora.ia3(),
        HubLora.vera());
  }

  @ParameterizedTest
  @MethodSource("startingUnchanged")
  void theAdaptedModelStartsAsTheBaseModel(ComposableMethod method) {
    Tensor logits =
        MethodCase.run(MethodCase.bert().attach(method).graph(), CASE.inputs()).get("logits");
    MethodCase.assertClose("logits", logits, CASE.io().get("logits_base"), 1e-6, 0);
  }

  @Test
  void aStackOfWhichTheSecondGivesNothingIsTheFirst() {
    Bottleneck first = small().build();
    Bottleneck second = Bottleneck.houlsby().optReduction(Reduction.of(8)).build();
    AdaptedModel alone = MethodCase.bert().attach(first, 3);
    AdaptedModel stack =
        MethodCase.bert()
            .attach(new Stack(List.of(new Member("one", first), new Member("two", second))), 9);
    Map<String, Tensor> values = new HashMap<>();
    for (String name : stack.graph().trainable()) {
      Tensor own = stack.graph().initializer(name);
      String other = name.replace(".one.", ".default.");
      values.put(
          name,
          name.contains(".one.")
              ? alone.graph().initializer(other)
              : Tensor.zeros(own.dtype(), own.shape()));
    }
    stack.update(values);
    MethodCase.assertClose(
        "logits",
        MethodCase.run(stack.graph(), CASE.inputs()).get("logits"),
        MethodCase.run(alone.graph(), CASE.inputs()).get("logits"),
        1e-6,
        0);
  }

  /** Bottlenecks of the first n layers vanish together, each n about as often. */
  @Test
  void layerDropLeavesOutTheFirstLayersOfABatchAtRandomAndNoneInEvaluation() {
    AdaptedModel adapted = moved(MethodCase.bert().attach(small().optDropFirst(2).build(), 3));
    AdaptedModel plain = moved(MethodCase.bert().attach(small().build(), 3));
    List<Tensor> possible =
        Stream.of(List.<Integer>of(), List.of(0), List.of(0, 1))
            .map(layers -> AdapterDrop.without(plain.adapter(), layers).graph())
            .map(graph -> MethodCase.run(graph, CASE.inputs()).get("logits"))
            .toList();
    Tensor evaluated = MethodCase.run(adapted.graph(), CASE.inputs()).get("logits");
    MethodCase.assertClose("evaluation", evaluated, possible.get(0), 1e-6, 0);
    int[] counts = new int[3];
    TorchEngine.seed(7);
    try (TorchProgram program =
        TorchEngine.compile(withoutDropout(adapted.graph()), CompileOptions.forTraining())) {
      for (int i = 0; i < 90; i++) {
        Tensor logits = program.run(CASE.inputs()).get("logits");
        Set<Integer> which = new HashSet<>();
        for (int n = 0; n < 3; n++) {
          if (isClose(logits, possible.get(n))) {
            which.add(n);
          }
        }
        assertThat(which).hasSize(1);
        counts[which.iterator().next()]++;
      }
    }
    assertThat(Arrays.stream(counts).boxed().toList()).allMatch(count -> count > 15);
  }

  private static boolean isClose(Tensor a, Tensor b) {
    double[] left = a.toDoubles();
    double[] right = b.toDoubles();
    for (int i = 0; i < left.length; i++) {
      if (Math.abs(left[i] - right[i]) > 1e-5) {
        return false;
      }
    }
    return true;
  }

  /** The model's own dropout is 0 in this configuration, so that only layers are dropped. */
  private static Graph withoutDropout(Graph graph) {
    assertThat(graph.nodes())
        .filteredOn(node -> node.is("Dropout") && node.tag().isEmpty())
        .isEmpty();
    return graph;
  }

  private static AdaptedModel moved(AdaptedModel model) {
    Random random = new Random(11);
    GraphEditor editor = model.graph().edit();
    Map<String, Tensor> values = new HashMap<>();
    for (String name : model.graph().trainable()) {
      Tensor start = editor.initializer(name);
      float[] numbers = start.toFloats();
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] += 0.1f * (float) random.nextGaussian();
      }
      values.put(name, Tensor.ofFloats(start.shape(), numbers));
    }
    model.update(values);
    return model;
  }

  @Test
  void aBottleneckCannotBeMerged() {
    AdaptedModel adapted = MethodCase.bert().attach(small().build());
    assertThatThrownBy(adapted::merge)
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("cannot be merged");
  }

  @Test
  void settingsThatContradictEachOtherAreRefused() {
    assertThatThrownBy(() -> small().optAfterFeedForward(false).build())
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("mh_adapter or output_adapter");
    assertThatThrownBy(
            () ->
                small()
                    .optDropFirst(1)
                    .optNorms(norms(true, true, Norms.Residual.INPUT, false, false))
                    .build())
        .hasMessageContaining("drop_first needs");
    assertThatThrownBy(() -> norms(false, true, Norms.Residual.SUM, false, false))
        .hasMessageContaining("post_add");
    for (Start start : List.of(Start.MAM_ADAPTER, Start.HOULSBY)) {
      assertThatThrownBy(() -> Bottleneck.compacter().optStart(start).build())
          .isInstanceOf(RecipeException.class)
          .hasMessageContaining("does not go with phm_layer");
    }
    assertThatThrownBy(() -> new Reduction(null, Map.of()))
        .hasMessageContaining("reduction_factor is empty");
  }
}
