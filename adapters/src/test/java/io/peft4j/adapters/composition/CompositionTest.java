package io.peft4j.adapters.composition;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.AdaptedModel;
import io.peft4j.CheckpointFormatException;
import io.peft4j.PeftException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.FiniteDifferences;
import io.peft4j.adapters.MethodCase;
import io.peft4j.adapters.adapterhub.WithHead;
import io.peft4j.adapters.bottleneck.Bottleneck;
import io.peft4j.adapters.bottleneck.Coupling;
import io.peft4j.adapters.bottleneck.Norms;
import io.peft4j.adapters.bottleneck.Reduction;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.compose.ResidualSum;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.task.Loss;
import io.peft4j.train.StepRule;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class CompositionTest {
  private static final MethodCase CASE = MethodCase.peft("lora-ffn");
  private static final double WEIGHT = 0.01f; // numbers in a graph are float32
  private static final double EPSILON = 1e-12; // of the model's norms

  @TempDir Path folder;

  private static Bottleneck.Builder small() {
    return Bottleneck.pfeiffer().optReduction(Reduction.of(8)).optNonLinearity("tanh");
  }

  private static AdaptedModel moved(AdaptedModel model) {
    Random random = new Random(11);
    Map<String, Tensor> values = new HashMap<>();
    for (String name : model.graph().trainable()) {
      Tensor start = model.graph().initializer(name);
      float[] numbers = start.toFloats();
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] += 0.2f * (float) random.nextGaussian();
      }
      values.put(name, Tensor.ofFloats(start.shape(), numbers));
    }
    model.update(values);
    return model;
  }

  private static Tensor logits(AdaptedModel model) {
    return MethodCase.run(model.graph(), CASE.inputs()).get("logits");
  }

  // --- regularisation ---

  private static AdaptedModel fused(Mixing mixing) {
    List<Member> members =
        List.of(new Member("a", small().build()), new Member("b", small().build()));
    return moved(MethodCase.bert().attach(new AdapterFusion(members, mixing, true), 3));
  }

  /** The loss, and its gradients by initializer, in float64. */
  private record Judged(double loss, Map<String, double[]> gradients) {
    static Judged of(AdaptedModel model, StepRule rule) {
      Graph graph = rule.judging(Loss.CROSS_ENTROPY).attach(model.graph(), "logits");
      CompileOptions options = CompileOptions.evaluation().withPrecision(DType.FLOAT64);
      try (TorchProgram program = TorchEngine.compile(graph, options)) {
        double loss = program.backward(CASE.labelled(), "loss").get("loss").item();
        Map<String, double[]> gradients = new HashMap<>();
        for (String name : program.parameters().names()) {
          gradients.put(name, program.parameters().gradient(name).toDoubles());
        }
        return new Judged(loss, gradients);
      }
    }
  }

  @Test
  void trainingAddsAHundredthOfTheSquaredDistanceOfValueLayersFromTheIdentity() {
    AdaptedModel model = fused(Mixing.DYNAMIC);
    Judged plain = Judged.of(model, StepRule.NONE);
    Judged judged = Judged.of(model, StepRule.of(model));
    double penalty = 0;
    int layers = 0;
    for (String name : model.graph().trainable()) {
      double[] gradient = judged.gradients().get(name);
      double[] expected = plain.gradients().get(name).clone();
      if (name.endsWith(".value.weight")) {
        layers++;
        double[] value = model.graph().initializer(name).toDoubles();
        for (int i = 0; i < value.length; i++) {
          double gap = value[i] - (i % 33 == 0 ? 1 : 0); // the diagonal of [32, 32]
          penalty += WEIGHT * gap * gap;
          expected[i] += 2 * WEIGHT * gap;
        }
      }
      assertThat(gradient).as(name).containsExactly(expected, within(1e-8));
    }
    assertThat(layers).isEqualTo(2);
    assertThat(penalty).isGreaterThan(0.1);
    assertThat(judged.loss()).isCloseTo(plain.loss() + penalty, within(1e-8));
  }

  static Stream<Mixing> withoutPenalty() {
    return Stream.of(
        Mixing.STATIC, new Mixing(true, true, true, false, false, true, true, false, -1));
  }

  @ParameterizedTest
  @MethodSource("withoutPenalty")
  void nothingIsAddedWhereThatIsNotAskedForOrNoValueLayerIsThere(Mixing mixing) {
    assertThat(StepRule.of(fused(mixing))).isSameAs(StepRule.NONE);
  }

  @Test
  void aFrozenMemberKeepsItsCouplingToo() {
    List<Member> members =
        List.of(
            new Member("a", small().optCoupling(Coupling.nice(2)).build()),
            new Member("b", small().build()));
    AdaptedModel model =
        MethodCase.bert().attach(new AdapterFusion(members, Mixing.DYNAMIC, false));
    assertThat(model.graph().trainable()).allMatch(name -> name.contains("adapter_fusion_layer"));
  }

  // --- a stack, by its formula ---

  /** What the last layer's feed-forward block adds to what, as outputs. */
  private static Graph withBlockOutputs(Graph base, ResidualSum place) {
    return base.edit()
        .output(Value.of(place.hidden(), DType.FLOAT32))
        .output(Value.of(place.residual(), DType.FLOAT32))
        .build();
  }

  private static double[] sum(double[] a, double[] b) {
    double[] sum = a.clone();
    for (int i = 0; i < sum.length; i++) {
      sum[i] += b[i];
    }
    return sum;
  }

  private static double[] normalised(double[] x, double[] scale, double[] shift) {
    double[] y = new double[x.length];
    int n = scale.length;
    for (int row = 0; row < x.length; row += n) {
      double mean = 0;
      double variance = 0;
      for (int i = 0; i < n; i++) {
        mean += x[row + i] / n;
      }
      for (int i = 0; i < n; i++) {
        variance += (x[row + i] - mean) * (x[row + i] - mean) / n;
      }
      for (int i = 0; i < n; i++) {
        y[row + i] = (x[row + i] - mean) / Math.sqrt(variance + EPSILON) * scale[i] + shift[i];
      }
    }
    return y;
  }

  private static double[] linear(double[] x, Tensor weight, Tensor bias) {
    int out = (int) weight.dim(0);
    int in = (int) weight.dim(1);
    double[] w = weight.toDoubles();
    double[] b = bias.toDoubles();
    double[] y = new double[x.length / in * out];
    for (int row = 0; row < x.length / in; row++) {
      for (int o = 0; o < out; o++) {
        double sum = b[o];
        for (int i = 0; i < in; i++) {
          sum += w[o * in + i] * x[row * in + i];
        }
        y[row * out + o] = sum;
      }
    }
    return y;
  }

  private static double[] bottleneck(AdaptedModel model, String name, double[] x) {
    String prefix = "bert.encoder.layer.1.output.adapters." + name + ".adapter_";
    Graph graph = model.graph();
    double[] h =
        linear(
            x,
            graph.initializer(prefix + "down.0.weight"),
            graph.initializer(prefix + "down.0.bias"));
    for (int i = 0; i < h.length; i++) {
      h[i] = Math.tanh(h[i]);
    }
    return linear(
        h, graph.initializer(prefix + "up.weight"), graph.initializer(prefix + "up.bias"));
  }

  @Test
  void eachAdapterOfAStackReadsWhatTheOneBeforeItGives() {
    Bottleneck method = small().optLeaveOut(List.of(0)).build();
    Graph base = MethodCase.bert().graph();
    ResidualSum place = Attachment.begin(base, "x", 0).layers().get(1).afterFeedForward();
    Map<String, Tensor> block = MethodCase.run(withBlockOutputs(base, place), CASE.inputs());
    double[] hidden = block.get(place.hidden()).toDoubles();
    double[] residual = block.get(place.residual()).toDoubles();
    AdaptedModel stack =
        moved(
            MethodCase.bert()
                .attach(new Stack(List.of(new Member("one", method), new Member("two", method)))));
    double[] scale = base.initializer("bert.encoder.layer.1.output.LayerNorm.weight").toDoubles();
    double[] shift = base.initializer("bert.encoder.layer.1.output.LayerNorm.bias").toDoubles();
    double[] value = hidden;
    for (String name : List.of("one", "two")) {
      double[] read = normalised(sum(value, residual), scale, shift);
      value = sum(bottleneck(stack, name, read), value);
    }
    double[] expected = normalised(sum(value, residual), scale, shift);
    double[] actual =
        MethodCase.run(stack.graph(), CASE.inputs()).get("last_hidden_state").toDoubles();
    assertThat(actual).containsExactly(expected, within(1e-5));
  }

  // --- folders ---

  private static AdaptedModel stack() {
    return moved(
        MethodCase.bert()
            .attach(
                new Stack(
                    List.of(
                        new Member("language", small().optCoupling(Coupling.nice(2)).build()),
                        new Member(
                            "task", Bottleneck.houlsby().optReduction(Reduction.of(8)).build()))),
                9));
  }

  private Path saved() {
    AdaptedModel stack = stack();
    Path saved = folder.resolve("saved");
    stack.save(saved);
    return saved;
  }

  @Test
  void aStackIsReadAsItWasSavedAndEachOfItsFoldersIsAnAdapter() {
    Path saved = saved();
    AdaptedModel read = MethodCase.bert().load(saved);
    assertThat(logits(read).contentEquals(logits(stack()))).isTrue();
    read.save(folder.resolve("again"));
    for (String file :
        List.of(
            "adapter_setup.json",
            "language/adapter_config.json",
            "language/adapter.safetensors",
            "task/adapter.safetensors")) {
      assertThat(folder.resolve("again").resolve(file)).hasSameBinaryContentAs(saved.resolve(file));
    }
    AdaptedModel task = MethodCase.bert().load(saved.resolve("task"));
    assertThat(task.adapter().method())
        .isEqualTo(Bottleneck.houlsby().optReduction(Reduction.of(8)).build());
  }

  static Stream<ComposableMethod> withUnusedParts() {
    Bottleneck.Builder more =
        small()
            .optGating(true)
            .optCoupling(Coupling.glow(4))
            .optNorms(new Norms(true, true, true, true, Norms.Residual.BLOCK, false));
    List<Member> members =
        List.of(new Member("a", more.build()), new Member("b", more.optDropout(0.1).build()));
    return Stream.of(new AdapterFusion(members, Mixing.DYNAMIC, true), new Stack(members));
  }

  /** A fusion uses no gates and no last norms; of several couplings, only the first is used. */
  @ParameterizedTest
  @MethodSource("withUnusedParts")
  void whatAMemberHasThatIsNotUsedStaysInItsFiles(ComposableMethod method) {
    AdaptedModel adapted = moved(MethodCase.bert().attach(method));
    adapted.save(folder.resolve("saved"));
    AdaptedModel read = MethodCase.bert().load(folder.resolve("saved"));
    assertThat(logits(read).contentEquals(logits(adapted))).isTrue();
    AdaptedModel alone = MethodCase.bert().load(folder.resolve("saved/b"));
    assertThat(alone.adapter().tensors())
        .anyMatch(t -> t.parameter().equals("adapters.b.gate.weight"))
        .anyMatch(t -> t.parameter().equals("adapters.b.adapter_norm_after.weight"))
        .anyMatch(t -> t.parameter().equals("invertible_adapters.b.s1.0.weight"));
    for (AdapterTensor tensor : alone.adapter().tensors()) {
      Tensor value = alone.graph().initializer(tensor.initializer());
      assertThat(adapted.graph().initializer(tensor.initializer()).contentEquals(value))
          .as(tensor.initializer())
          .isTrue();
    }
    assertThat(adapted.graph().trainable())
        .noneMatch(name -> name.contains("invertible_adapters.b."))
        .anyMatch(name -> name.contains("invertible_adapters.a."));
    FiniteDifferences.checkSome(adapted, CASE.labelled(), 1);
  }

  @ParameterizedTest
  @MethodSource("withUnusedParts")
  void theModelsOwnHeadTrainsAndIsSavedWithIt(ComposableMethod method) {
    AdaptedModel adapted =
        moved(MethodCase.bert().attach(WithHead.of(method, List.of("classifier"))));
    assertThat(adapted.graph().trainable()).contains("classifier.weight");
    boolean isFusion = method instanceof AdapterFusion;
    assertThat(StepRule.of(adapted) == StepRule.NONE).isEqualTo(!isFusion);
    adapted.save(folder.resolve("saved"));
    assertThat(folder.resolve("saved").resolve(isFusion ? "a,b" : "b"))
        .isDirectoryContaining("glob:**model_head.safetensors");
    AdaptedModel read = MethodCase.bert().load(folder.resolve("saved"));
    assertThat(logits(read).contentEquals(logits(adapted))).isTrue();
    assertThat(logits(read).contentEquals(CASE.io().get("logits_base"))).isFalse();
    read.save(folder.resolve("again"));
    assertThat(logits(MethodCase.bert().load(folder.resolve("again"))).contentEquals(logits(read)))
        .isTrue();
  }

  @Test
  void aSetupOfOneAdapterIsThatAdapter() throws IOException {
    Path saved = saved();
    Path setup = saved.resolve("adapter_setup.json");
    Files.writeString(
        setup,
        """
        {"adapter_setup": {"type": "Stack", "children": [{"type": "single", "children": ["task"]}]},
         "head_setup": null, "version": "adapters.1.2.0"}
        """);
    AdaptedModel task = MethodCase.bert().load(saved.resolve("task"));
    assertThat(logits(MethodCase.bert().load(saved)).contentEquals(logits(task))).isTrue();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"Stack\" | \"Parallel\" | is Parallel, which is not supported",
        "\"single\" | \"Average\" | is Stack of other compositions",
        "\"adapter_setup\" | \"setup\" | lacks the object 'adapter_setup'",
        "\"language\" | \"other\" | names the adapter 'other', but there is no folder",
        "\"language\" | \"../saved/language\" | holds the adapter 'language'",
        "\"children\" | \"child\" | which is not supported"
      })
  void aSetupThatCannotBeFollowedIsNamed(String from, String to, String expected)
      throws IOException {
    Path saved = saved();
    Path setup = saved.resolve("adapter_setup.json");
    String text = Files.readString(setup);
    assertThat(text).contains(from);
    Files.writeString(setup, text.replace(from, to));
    assertThatThrownBy(() -> MethodCase.bert().load(saved))
        .isInstanceOfAny(CheckpointFormatException.class, UnsupportedModelException.class)
        .hasMessageContaining("adapter_setup.json")
        .hasMessageContaining(expected);
  }

  @Test
  void aMissingFileOfAMemberIsNamed() throws IOException {
    Path saved = saved();
    Files.delete(saved.resolve("task/adapter.safetensors"));
    assertThatThrownBy(() -> MethodCase.bert().load(saved))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("task has no adapter.safetensors");
  }

  @Test
  void aLibraryMadeSetupOfAFusionIsRead() throws IOException {
    Path golden = Path.of("src/test/resources/methods/adapterhub/fusion-dynamic");
    for (String name : List.of("fusion", "task", "other")) {
      Path target = folder.resolve("setup").resolve(name.equals("fusion") ? "task,other" : name);
      Files.createDirectories(target);
      try (Stream<Path> files = Files.list(golden.resolve(name))) {
        for (Path file : files.toList()) {
          Files.copy(file, target.resolve(file.getFileName()));
        }
      }
    }
    Files.writeString(
        folder.resolve("setup/adapter_setup.json"),
        """
        {"adapter_setup": {"type": "Fuse", "children": [
          {"type": "single", "children": ["task"]}, {"type": "single", "children": ["other"]}]},
         "head_setup": null, "version": "adapters.1.2.0"}
        """);
    AdaptedModel read = MethodCase.bert().load(folder.resolve("setup"));
    assertThat(logits(read).contentEquals(logits(MethodCase.bert().load(golden)))).isTrue();
  }
}
