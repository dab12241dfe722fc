package io.peft4j.compress.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.PeftException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DynamicInt8Test {
  private static final Graph MODEL = SmallModel.tied();

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void onnxRuntimeGivesNearlyTheSameLogits(boolean reduced) {
    QuantizedModel made = new DynamicInt8(reduced, Set.of()).apply(MODEL);
    assertThat(made.quantized()).containsExactly("embed", "up", "gate", "down", "head");
    assertThat(made.left()).isEmpty();
    // An output sums 32 to 64 products, each off by up to 1/128 of a range, three layers deep.
    assertThat(error(made.graph())).isBetween(1e-4, reduced ? 0.04 : 0.02);
  }

  @Test
  void bothEnginesComputeTheSameIntegers() {
    Graph graph = DynamicInt8.standard().apply(MODEL).graph();
    try (Program runtime = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(graph);
        Program torch = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      assertThat(SmallModel.error(torch, runtime)).isLessThan(1e-6);
    }
  }

  @Test
  void aTiedTableIsHeldOnceAndNoFloatWeightIsLeft() {
    Graph graph = DynamicInt8.standard().apply(MODEL).graph();
    assertThat(graph.initializers().values())
        .filteredOn(t -> t.dtype() == DType.INT8)
        .extracting(Tensor::size)
        .containsExactlyInAnyOrder(61L * 32, 32L * 64, 32L * 64, 64L * 32);
    assertThat(graph.initializers().values())
        .filteredOn(t -> t.dtype() == DType.FLOAT32)
        .allMatch(t -> t.size() <= 64);
  }

  @Test
  void inputsThatLayersShareAreQuantisedOnce() {
    Graph graph = DynamicInt8.standard().apply(MODEL).graph();
    assertThat(graph.nodes().stream().filter(n -> n.is("MatMulInteger"))).hasSize(4);
    assertThat(graph.nodes().stream().filter(n -> n.is("DynamicQuantizeLinear"))).hasSize(3);
  }

  @Test
  void anExcludedLayerStaysAsItIs() {
    QuantizedModel made = DynamicInt8.standard().excluding(List.of("down", "embed")).apply(MODEL);
    assertThat(made.quantized()).containsExactly("up", "gate", "head");
    assertThat(made.left()).containsOnlyKeys("embed", "down").containsValue("excluded");
    assertThat(made.graph().nodes()).anyMatch(n -> n.is("Gemm")).anyMatch(n -> n.is("Gather"));
    assertThat(error(made.graph())).isBetween(1e-4, 0.02);
  }

  @Test
  void aNameThatIsNoLayerIsAnErrorThatListsTheNearest() {
    assertThatThrownBy(() -> DynamicInt8.standard().excluding(List.of("dwn")).apply(MODEL))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("'dwn'")
        .hasMessageContaining("down");
  }

  private static double error(Graph quantized) {
    try (Program before = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(MODEL);
        Program after = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(quantized)) {
      return SmallModel.error(before, after);
    }
  }
}
