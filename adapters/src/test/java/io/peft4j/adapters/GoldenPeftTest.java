package io.peft4j.adapters;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.AdaptedModel;
import io.peft4j.MergedModel;
import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.peft.PeftFormat;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every method against PEFT's own numbers: all cases of {@code methods/peft}. */
class GoldenPeftTest {
  private static final double TOLERANCE = 1e-5;

  /**
   * Their gradients are by design not the derivative of what they compute: the lengths of DoRA's
   * rows and the scale of OFT's bounded blocks count as constants; OSF's gradients are projected.
   */
  private static final Set<String> DETACHED =
      Set.of("dora-bert", "dora-embedding", "dora-gpt2", "dora-llama", "oft-coft", "osf");

  /**
   * PEFT's C3A gives its input the gradient of a kernel turned round (w at s + k instead of s - k),
   * so that the gradients of what lies below another adapted layer are wrong there; finite
   * differences judge these.
   */
  private static boolean isRightInPeft(String name, String key) {
    return !(name.equals("c3a") && key.contains("layer.0."));
  }

  static Stream<String> cases() {
    return MethodCase.peftCases();
  }

  static Stream<String> differentiableCases() {
    return cases().filter(name -> !DETACHED.contains(name));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void logitsAreThoseOfPeft(String name) {
    MethodCase golden = MethodCase.peft(name);
    Map<String, Tensor> outputs = MethodCase.run(golden.adapted().graph(), golden.inputs());
    assertClose("logits", outputs.get("logits"), golden.io().get("logits"), TOLERANCE, 0);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void lossAndEveryGradientAreThoseOfPeft(String name) {
    MethodCase golden = MethodCase.peft(name);
    AdaptedModel adapted = golden.adapted();
    try (TorchProgram program = golden.withLoss(adapted.graph(), CompileOptions.evaluation())) {
      Map<String, Tensor> outputs = program.backward(golden.labelled(), "loss");
      assertClose("loss", outputs.get("loss"), golden.io().get("loss"), TOLERANCE, 0);
      TreeSet<String> seen = new TreeSet<>();
      for (AdapterTensor tensor : adapted.adapter().tensors()) {
        if (adapted.graph().trainable().contains(tensor.initializer())) {
          String key = "grad." + PeftFormat.key(tensor);
          Tensor gradient = program.parameters().gradient(tensor.initializer());
          Tensor laid = tensor.transposed() ? gradient.transposed(1, 0) : gradient;
          assertThat(golden.io()).containsKey(key);
          if (isRightInPeft(name, key)) {
            assertClose(key, laid, golden.io().get(key), TOLERANCE, 1e-4);
          }
          seen.add(key);
        }
      }
      TreeSet<String> expected = new TreeSet<>(golden.io().keySet());
      expected.removeIf(key -> !key.startsWith("grad."));
      assertThat(seen).isEqualTo(expected);
    }
  }

  @ParameterizedTest
  @MethodSource("differentiableCases")
  void gradientsAgreeWithFiniteDifferencesInDoublePrecision(String name) {
    MethodCase golden = MethodCase.peft(name);
    FiniteDifferences.checkSome(golden, golden.adapted(), 2);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void mergedWeightsAndLogitsAreThoseOfPeft(String name) {
    MethodCase golden = MethodCase.peft(name);
    if (!golden.io().containsKey("logits_merged")) {
      assertThatThrownBy(() -> golden.adapted().merge())
          .isInstanceOf(PeftException.class)
          .hasMessageContaining("cannot be merged");
      return;
    }
    MergedModel merged = golden.adapted().merge();
    assertThat(merged.maxOutputDifference()).isLessThan(TOLERANCE);
    Map<String, Tensor> outputs = MethodCase.run(merged.model().graph(), golden.inputs());
    assertClose(
        "logits",
        outputs.get("logits"),
        golden.io().get("logits_merged"),
        golden.isCausal() ? 2 * TOLERANCE : TOLERANCE,
        0);
    SafeTensors.read(golden.folder().resolve("merged.safetensors"))
        .tensors()
        .forEach(
            (key, weight) ->
                assertClose(key, merged.model().graph().initializer(key), weight, TOLERANCE, 0));
    assertThat(merged.model().graph().trainable()).isEmpty();
    assertThat(merged.model().graph().nodes()).allMatch(node -> node.tag().isEmpty());
  }

  @ParameterizedTest
  @MethodSource("cases")
  void savedAgainTensorsAreByteEqualAndTheConfigurationKeepsEveryField(
      String name, @TempDir Path folder) {
    MethodCase golden = MethodCase.peft(name);
    Path saved = folder.resolve("adapter");
    golden.adapted().save(saved);
    Map<String, Tensor> before = tensors(golden.folder());
    Map<String, Tensor> after = tensors(saved);
    assertThat(after.keySet()).containsExactlyInAnyOrderElementsOf(before.keySet());
    before.forEach(
        (key, tensor) -> assertThat(after.get(key).contentEquals(tensor)).as(key).isTrue());
    assertThat(MethodCase.json(saved.resolve("adapter_config.json")))
        .isEqualTo(MethodCase.json(golden.folder().resolve("adapter_config.json")));
  }

  /** Written as a new adapter, not with the text that was read. */
  @ParameterizedTest
  @MethodSource("cases")
  void aConfigurationThatIsWrittenAnewMeansTheSameMethod(String name, @TempDir Path folder) {
    MethodCase golden = MethodCase.peft(name);
    AdaptedModel adapted = golden.adapted();
    AdaptedModel fresh = golden.base().attach(adapted.adapter().method());
    Map<String, Tensor> values = new HashMap<>();
    for (AdapterTensor tensor : adapted.adapter().tensors()) {
      values.put(tensor.initializer(), adapted.graph().initializer(tensor.initializer()));
    }
    fresh.update(values);
    Path saved = folder.resolve("adapter");
    fresh.save(saved);
    AdaptedModel read = golden.base().load(saved);
    Map<String, Tensor> outputs = MethodCase.run(read.graph(), golden.inputs());
    assertClose("logits", outputs.get("logits"), golden.io().get("logits"), TOLERANCE, 0);
  }

  private static Map<String, Tensor> tensors(Path adapter) {
    return SafeTensors.read(adapter.resolve("adapter_model.safetensors")).tensors();
  }
}
