package io.peft4j.engine.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.PeftException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TorchProgramTest {
  private static Tensor random(long seed, long... shape) {
    Random random = new Random(seed);
    float[] values = new float[(int) Tensor.elements(shape)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.ofFloats(shape, values);
  }

  private static Graph network() {
    GraphEditor editor = new GraphEditor("two-layers");
    editor.input(Value.of("x", DType.FLOAT32, "batch", 5));
    editor.input(Value.of("labels", DType.INT64, "batch"));
    editor.initializer("0.weight", random(1, 7, 5)).initializer("0.bias", random(2, 7));
    editor.initializer("2.weight", random(3, 7, 3)).initializer("2.bias", random(4, 3));
    String t = editor.node("/0/Transpose", "Transpose", List.of("0.weight"));
    String h = editor.node("/0/MatMul", "MatMul", List.of("x", t));
    h = editor.node("/0/Add", "Add", List.of(h, "0.bias"));
    h = editor.node("/1/Gelu", "Gelu", List.of(h));
    editor.add(
        Node.of("/2/Gemm", "Gemm", List.of(h, "2.weight", "2.bias"), List.of("logits"), Map.of()));
    editor.add(
        Node.of(
            "loss",
            "SoftmaxCrossEntropyLoss",
            List.of("logits", "labels"),
            List.of("loss"),
            Map.of()));
    editor.output(Value.of("logits", DType.FLOAT32, "batch", 3));
    editor.output(Value.of("loss", DType.FLOAT32));
    editor.train("0.weight").train("2.bias");
    return editor.build();
  }

  private static Map<String, Tensor> inputs() {
    return Map.of("x", random(9, 4, 5), "labels", Tensor.vector(0, 2, 1, 1));
  }

  @Test
  void gradientsAgreeWithFiniteDifferencesInDoublePrecision() {
    CompileOptions options = CompileOptions.evaluation().withPrecision(DType.FLOAT64);
    Graph graph = network();
    try (TorchProgram program = TorchEngine.compile(graph, options)) {
      program.backward(inputs(), "loss");
      for (String name : program.parameters().names()) {
        double[] gradient = program.parameters().gradient(name).toDoubles();
        Tensor start = program.parameters().value(name);
        assertThat(start.dtype()).isEqualTo(DType.FLOAT64);
        for (int i = 0; i < gradient.length; i++) {
          double slope =
              (lossAt(program, name, start, i, 1e-5) - lossAt(program, name, start, i, -1e-5))
                  / 2e-5;
          assertThat(gradient[i]).isCloseTo(slope, within(1e-8));
        }
        program.parameters().set(name, start);
      }
    }
  }

  private static double lossAt(
      TorchProgram program, String name, Tensor start, int index, double step) {
    double[] values = start.toDoubles();
    values[index] += step;
    program.parameters().set(name, Tensor.ofDoubles(start.shape(), values));
    return program.run(inputs()).get("loss").item();
  }

  @Test
  void gradientsAddUpUntilTheyAreZeroed() {
    try (TorchProgram program = TorchEngine.compile(network(), CompileOptions.evaluation())) {
      program.parameters().zeroGradients();
      program.backward(inputs(), "loss");
      float[] once = program.parameters().gradient("2.bias").toFloats();
      program.backward(inputs(), "loss");
      assertThat(program.parameters().gradient("2.bias").toFloats()[0])
          .isCloseTo(2 * once[0], within(1e-6f));
      program.parameters().zeroGradients();
      assertThat(program.parameters().gradient("2.bias").toFloats()).containsOnly(0f);
    }
  }

  @Test
  void unknownAndMissingInputsAreNamed() {
    try (TorchProgram program = TorchEngine.compile(network(), CompileOptions.evaluation())) {
      assertThatThrownBy(() -> program.run(Map.of("x", random(9, 4, 5))))
          .isInstanceOf(PeftException.class)
          .hasMessageContaining("needs the input 'labels'");
      assertThatThrownBy(() -> program.run(Map.of("y", random(9, 4, 5))))
          .hasMessageContaining("no input 'y'")
          .hasMessageContaining("x, labels");
    }
  }

  @Test
  void anOperatorWithoutLoweringStopsTheCompilationByName() {
    GraphEditor editor = new GraphEditor("odd");
    editor.input(Value.of("x", DType.FLOAT32, "batch", 5));
    editor.add(Node.of("/odd", "NonMaxSuppression", List.of("x"), List.of("y"), Map.of()));
    editor.output(Value.of("y", DType.FLOAT32, "batch"));
    Graph graph = editor.build();
    assertThatThrownBy(() -> TorchEngine.compile(graph, CompileOptions.evaluation()))
        .isInstanceOf(UnsupportedModelException.class)
        .hasMessageContaining("NonMaxSuppression")
        .hasMessageContaining("/odd");
  }

  @Test
  void dropoutDropsInTrainingAloneAndKeepsTheMean() {
    GraphEditor editor = new GraphEditor("dropout");
    editor.input(Value.of("x", DType.FLOAT32, "n"));
    editor.initializer("ratio", Tensor.scalar(0.25f));
    editor.add(Node.of("/drop", "Dropout", List.of("x", "ratio"), List.of("y"), Map.of()));
    editor.output(Value.of("y", DType.FLOAT32, "n"));
    Graph graph = editor.build();
    float[] ones = new float[100_003];
    java.util.Arrays.fill(ones, 1f);
    Map<String, Tensor> input = Map.of("x", Tensor.ofFloats(new long[] {ones.length}, ones));
    try (TorchProgram training = TorchEngine.compile(graph, CompileOptions.forTraining());
        TorchProgram evaluation = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      assertThat(evaluation.run(input).get("y").toFloats()).isEqualTo(ones);
      TorchEngine.seed(7);
      float[] first = training.run(input).get("y").toFloats();
      TorchEngine.seed(7);
      assertThat(training.run(input).get("y").toFloats()).isEqualTo(first);
      int zeros = 0;
      double sum = 0;
      for (float value : first) {
        zeros += value == 0 ? 1 : 0;
        sum += value;
      }
      assertThat(zeros / (double) ones.length).isCloseTo(0.25, within(0.01));
      assertThat(sum / ones.length).isCloseTo(1.0, within(0.01));
      assertThat(first).containsOnly(0f, (float) (1 / 0.75));
      assertThat(droppedIn(first, 0, 1000)).isBetween(180, 320);
      assertThat(droppedIn(first, first.length - 1000, first.length)).isBetween(180, 320);
      assertThat(correlation(first, 1)).isCloseTo(0, within(0.02));
      assertThat(correlation(first, 4)).isCloseTo(0, within(0.02));
    }
  }

  private static int droppedIn(float[] values, int from, int to) {
    int dropped = 0;
    for (int i = from; i < to; i++) {
      dropped += values[i] == 0 ? 1 : 0;
    }
    return dropped;
  }

  /** Of whether an element drops with whether the one at a distance does. */
  private static double correlation(float[] values, int distance) {
    double mean = droppedIn(values, 0, values.length) / (double) values.length;
    double sum = 0;
    for (int i = distance; i < values.length; i++) {
      sum += ((values[i] == 0 ? 1 : 0) - mean) * ((values[i - distance] == 0 ? 1 : 0) - mean);
    }
    return sum / (values.length - distance) / (mean * (1 - mean));
  }

  @ParameterizedTest
  @CsvSource({"0.001, 100000", "0.1, 7", "0.5, 1", "0.9, 100000", "0.3, 0"})
  void dropoutOfAnyRatioAndSizeSendsItsGradientWhereItKeeps(float ratio, int size) {
    GraphEditor editor = new GraphEditor("dropout");
    float[] ones = new float[size];
    java.util.Arrays.fill(ones, 1f);
    editor.initializer("x", Tensor.ofFloats(new long[] {size}, ones)).train("x");
    editor.initializer("ratio", Tensor.scalar(ratio));
    editor.add(Node.of("/drop", "Dropout", List.of("x", "ratio"), List.of("y"), Map.of()));
    editor.initializer("axes", Tensor.vector(0));
    editor.add(
        Node.of(
            "/sum",
            "ReduceSum",
            List.of("y", "axes"),
            List.of("sum"),
            Map.of("keepdims", Attribute.of(0L))));
    editor.output(Value.of("y", DType.FLOAT32, size)).output(Value.of("sum", DType.FLOAT32));
    try (TorchProgram program = TorchEngine.compile(editor.build(), CompileOptions.forTraining())) {
      TorchEngine.seed(3);
      float[] kept = program.backward(Map.of(), "sum").get("y").toFloats();
      assertThat(program.parameters().gradient("x").toFloats()).isEqualTo(kept);
      double allowed = 5 * Math.sqrt(size * ratio * (1 - ratio));
      assertThat((double) droppedIn(kept, 0, size)).isCloseTo(size * ratio, within(allowed));
    }
  }
}
