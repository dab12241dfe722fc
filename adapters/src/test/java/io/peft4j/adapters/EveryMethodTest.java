package io.peft4j.adapters;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.MergedModel;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.MethodRecipe;
import io.peft4j.adapter.MethodRecipes;
import io.peft4j.adapters.adapterhub.AdapterHubFormat;
import io.peft4j.adapters.peft.PeftFormat;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.format.AdapterFormat;
import io.peft4j.format.AdapterFormat.StoredAdapter;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What holds for every registered method, golden data or not. */
class EveryMethodTest {
  private static final Map<String, Tensor> BATCH = MethodCase.peft("lora-ffn").labelled();

  /** Methods that change the outputs from the start, as in the reference libraries, and why. */
  private static final Map<String, Set<String>> STARTS_ELSEWHERE =
      Map.of(
          "the up projection starts with small random numbers",
          Set.of(
              "adapterplus",
              "bottleneck",
              "compacter",
              "compacter++",
              "double_seq_bn",
              "double_seq_bn_inv",
              "houlsby",
              "pfeiffer",
              "seq_bn",
              "seq_bn_inv",
              "stack"),
          "its members do not start anew",
          Set.of("fusion"),
          "what is added to weights starts at random",
          Set.of("c3a", "fourierft", "tinylora", "unilora", "vblora"),
          "both projections start at random",
          Set.of("direft", "loreft", "noreft"),
          "further tokens or keys take part in attention",
          Set.of(
              "hub-prefix-tuning",
              "hub-prefix-tuning-flat",
              "hub-prompt-tuning",
              "mam",
              "p-tuning",
              "prefix-tuning",
              "prompt-tuning",
              "unipelt"));

  /** Its noise is zero outside training, which ONNX Runtime cannot know. */
  private static final Set<String> NOISY = Set.of("pvera");

  /** Its gradients are projected, by design not the derivative of what it computes. */
  private static final Set<String> PROJECTED = Set.of("osf");

  @TempDir Path folder;

  /** A form that files hold as it is, of methods whose files hold something computed. */
  private static final Map<String, Map<String, Object>> STORED_AS =
      Map.of("p-tuning", Map.of("encoder", "none"));

  static Stream<String> names() {
    return SmallMethods.names();
  }

  static Stream<String> differentiable() {
    return names().filter(name -> !PROJECTED.contains(name));
  }

  private static Map<String, Tensor> inputs() {
    return MethodCase.peft("lora-ffn").inputs();
  }

  private static Tensor logits(Graph graph) {
    return MethodCase.run(graph, inputs()).get("logits");
  }

  private static double difference(Tensor a, Tensor b) {
    return OutputDifference.largest(Map.of("logits", a), Map.of("logits", b));
  }

  @ParameterizedTest
  @MethodSource("names")
  void itStartsAsTheBaseModelUnlessSaidOtherwise(String name) {
    PretrainedModel base = MethodCase.bert();
    AdaptedModel adapted = base.attach(SmallMethods.named(name));
    assertThat(adapted.graph().trainable()).isNotEmpty();
    double difference = difference(logits(base.graph()), logits(adapted.graph()));
    if (STARTS_ELSEWHERE.values().stream().anyMatch(names -> names.contains(name))) {
      assertThat(difference).isGreaterThan(1e-5);
    } else {
      assertThat(difference).isLessThan(1e-5);
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void gradientsAreFiniteFromTheStartAndReachSomething(String name) {
    Graph start = MethodCase.bert().attach(SmallMethods.named(name)).graph();
    CompileOptions options = CompileOptions.forTraining();
    try (TorchProgram program = MethodCase.peft("lora-ffn").withLoss(start, options)) {
      program.backward(BATCH, "loss");
      double largest = 0;
      for (String parameter : program.parameters().names()) {
        for (double slope : program.parameters().gradient(parameter).toDoubles()) {
          assertThat(slope).as(parameter).isFinite();
          largest = Math.max(largest, Math.abs(slope));
        }
      }
      assertThat(largest).isPositive();
    }
  }

  @ParameterizedTest
  @MethodSource("differentiable")
  void gradientsAgreeWithFiniteDifferencesInDoublePrecision(String name) {
    FiniteDifferences.checkSome(MethodCase.bert().attach(SmallMethods.named(name)), BATCH, 1);
  }

  @ParameterizedTest
  @MethodSource("names")
  void mergedItSaysTheSameOrWhyNotAndTheBaseStaysAsItIs(String name) {
    PretrainedModel base = MethodCase.bert();
    Map<String, Tensor> before = new HashMap<>();
    base.graph().initializers().forEach((key, t) -> before.put(key, copy(t)));
    AdaptedModel adapted = SmallMethods.moved(base.attach(SmallMethods.named(name)));
    try {
      MergedModel merged = adapted.merge();
      assertClose("logits", logits(merged.model().graph()), logits(adapted.graph()), 1e-4, 0);
      assertThat(merged.model().graph().trainable()).isEmpty();
    } catch (PeftException e) {
      assertThat(e).hasMessageContaining("cannot be merged");
    }
    Graph kept = adapted.base().graph();
    assertThat(kept.initializers().keySet()).isEqualTo(before.keySet());
    before.forEach((k, t) -> assertThat(kept.initializer(k).contentEquals(t)).as(k).isTrue());
  }

  private static Tensor copy(Tensor tensor) {
    return tensor.dtype().isFloat() ? Tensor.ofFloats(tensor.shape(), tensor.toFloats()) : tensor;
  }

  @ParameterizedTest
  @MethodSource("names")
  void writtenInEachFormatThatTakesItItIsReadBitForBit(String name) {
    PretrainedModel base = MethodCase.bert();
    AdaptedModel adapted =
        SmallMethods.moved(
            base.attach(SmallMethods.with(name, STORED_AS.getOrDefault(name, Map.of()))));
    AttachedAdapter adapter = adapted.adapter();
    StoredAdapter stored = new StoredAdapter(adapter, "", null, List.of(), Map.of());
    int written = 0;
    for (AdapterFormat format : List.of(new PeftFormat(), new AdapterHubFormat())) {
      if (format.writes(adapter)) {
        Path target = folder.resolve(format.name());
        format.write(stored, "base-bert", target);
        assertThat(format.accepts(target)).isTrue();
        StoredAdapter read = format.read(target, base.graph());
        Map<String, Tensor> before = tensors(format, stored);
        Map<String, Tensor> after = tensors(format, read);
        assertThat(after.keySet()).isEqualTo(before.keySet());
        before.forEach(
            (key, tensor) -> assertThat(after.get(key).contentEquals(tensor)).as(key).isTrue());
        assertThat(difference(logits(adapted.graph()), logits(read.adapter().graph()))).isZero();
        written++;
      }
    }
    assertThat(written).as("formats").isPositive();
  }

  private static Map<String, Tensor> tensors(AdapterFormat format, StoredAdapter stored) {
    Map<String, Tensor> tensors = new TreeMap<>();
    for (AdapterTensor tensor : stored.adapter().tensors()) {
      tensors.put(
          format.key(stored, tensor), stored.adapter().graph().initializer(tensor.initializer()));
    }
    return tensors;
  }

  @ParameterizedTest
  @MethodSource("names")
  void itsRecipeIsReadBackToAnEqualMethod(String name) {
    AdapterMethod method = SmallMethods.named(name);
    MethodRecipe recipe = MethodRecipes.of(method);
    Map<String, ?> written = recipe.write(method);
    assertThat(recipe.keys()).containsAll(written.keySet());
    assertThat(recipe.read(new MapSettings(new HashMap<>(written)))).isEqualTo(method);
  }

  @ParameterizedTest
  @MethodSource("names")
  void onAnOnnxExportItComputesTheSameInBothEngines(String name) {
    PretrainedModel base = MethodCase.bert();
    Path export = folder.resolve("bert.onnx");
    base.save(export);
    AdapterMethod method = SmallMethods.named(name);
    AdaptedModel expected = SmallMethods.moved(base.attach(method));
    AdaptedModel adapted = SmallMethods.moved(Checkpoints.open(export).attach(method));
    assertClose("logits", logits(adapted.graph()), logits(expected.graph()), 1e-5, 0);
    if (NOISY.contains(name)) {
      return;
    }
    Path file = folder.resolve("adapted.onnx");
    PretrainedModel.of(adapted.graph().edit().freezeAll().untag().build()).save(file);
    try (Program runtime = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).open(file)) {
      Tensor logits = runtime.run(inputs()).get("logits");
      assertClose("ONNX Runtime", logits, logits(adapted.graph()), 1e-4, 0);
    }
  }
}
