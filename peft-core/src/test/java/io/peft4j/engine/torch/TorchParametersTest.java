package io.peft4j.engine.torch;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TorchParametersTest {
  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"FLOAT32", "FLOAT64", "FLOAT16"})
  void valuesArePutBackBitForBit(DType dtype) {
    Tensor vector = Tensor.ofFloats(new long[] {3}, 1, Float.NaN, Float.POSITIVE_INFINITY);
    Tensor scalar = Tensor.ofFloats(new long[0], -2);
    try (TorchParameters parameters = TorchParameters.of(graph(dtype), DType.FLOAT32)) {
      for (Tensor value : List.of(vector.cast(dtype), scalar.cast(dtype))) {
        String name = value.rank() == 0 ? "scalar" : "vector";
        parameters.set(name, value);
        assertThat(parameters.value(name).contentEquals(value)).isTrue();
        assertThat(parameters.array(name).hasGradient()).isTrue();
      }
    }
  }

  @Test
  void nothingIsPrintedMeanwhile() throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Dai.djl.offline=true",
                "-cp",
                System.getProperty("java.class.path"),
                TorchParametersTest.class.getName())
            .redirectErrorStream(true)
            .start();
    String printed = new String(process.getInputStream().readAllBytes(), UTF_8);
    assertThat(process.waitFor()).as(printed).isZero();
    assertThat(printed).isEmpty();
  }

  /** In a process of its own, since torch warns once. */
  public static void main(String[] arguments) {
    try (TorchParameters parameters = TorchParameters.of(graph(DType.FLOAT32), DType.FLOAT32)) {
      parameters.set("vector", Tensor.ofFloats(new long[] {3}, 1, 2, 3));
    }
  }

  private static Graph graph(DType dtype) {
    GraphEditor editor = new GraphEditor("parameters");
    editor.input(Value.of("x", dtype, 3));
    editor.initializer("vector", Tensor.zeros(dtype, 3));
    editor.initializer("scalar", Tensor.zeros(dtype));
    editor.train("vector");
    editor.train("scalar");
    String sum = editor.node("sum", "Add", List.of("x", "vector"));
    editor.output(Value.of(editor.node("all", "Add", List.of(sum, "scalar")), dtype, 3));
    return editor.build();
  }
}
