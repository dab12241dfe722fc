package io.peft4j.adapters;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.AdaptedModel;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.task.Loss;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Holds gradients against central differences (f(x + h) - f(x - h)) / 2h, all in float64. What
 * trains is given random values first, since many gradients are zero where adapters start.
 */
public final class FiniteDifferences {
  private static final double H = 1e-5;

  private FiniteDifferences() {}

  /** Checks every element of every gradient of the cross entropy of {@code logits}. */
  public static void checkAll(AdaptedModel model, Map<String, Tensor> batch) {
    check(model, batch, Integer.MAX_VALUE);
  }

  /** Checks a few elements, drawn at random, of every gradient. */
  public static void checkSome(AdaptedModel model, Map<String, Tensor> batch, int perTensor) {
    check(model, batch, perTensor);
  }

  /** Checks a few elements of every gradient where the reference's adapter stands. */
  public static void checkSome(MethodCase golden, AdaptedModel model, int perTensor) {
    Loss loss = golden.isCausal() ? Loss.CAUSAL_CROSS_ENTROPY : Loss.CROSS_ENTROPY;
    check(model.graph(), loss, golden.labelled(), perTensor);
  }

  private static void check(AdaptedModel model, Map<String, Tensor> batch, int perTensor) {
    check(withRandomParameters(model.graph()), Loss.CROSS_ENTROPY, batch, perTensor);
  }

  private static void check(Graph graph, Loss loss, Map<String, Tensor> batch, int perTensor) {
    CompileOptions options = CompileOptions.evaluation().withPrecision(DType.FLOAT64);
    try (TorchProgram program = TorchEngine.compile(loss.attach(graph, "logits"), options)) {
      program.backward(batch, "loss");
      TorchParameters parameters = program.parameters();
      assertThat(parameters.names()).isNotEmpty();
      Random random = new Random(5);
      for (String name : parameters.names()) {
        Tensor start = parameters.value(name);
        double[] gradient = parameters.gradient(name).toDoubles();
        int[] elements =
            perTensor >= gradient.length
                ? IntStream.range(0, gradient.length).toArray()
                : random.ints(perTensor, 0, gradient.length).toArray();
        for (int i : elements) {
          double up = loss(program, name, start, i, H, batch);
          double down = loss(program, name, start, i, -H, batch);
          double slope = (up - down) / (2 * H);
          assertThat(gradient[i])
              .as(name + " at " + i)
              .isCloseTo(slope, within(1e-8 + 1e-6 * Math.abs(slope)));
        }
        parameters.set(name, start);
      }
    }
  }

  private static Graph withRandomParameters(Graph graph) {
    Random random = new Random(3);
    GraphEditor editor = graph.edit();
    for (String name : graph.trainable()) {
      Tensor start = graph.initializer(name);
      float[] values = new float[(int) start.size()];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (0.1 * random.nextGaussian());
      }
      editor.initializer(name, Tensor.ofFloats(start.shape(), values));
    }
    return editor.build();
  }

  private static double loss(
      TorchProgram program,
      String name,
      Tensor start,
      int index,
      double step,
      Map<String, Tensor> batch) {
    double[] values = start.toDoubles();
    values[index] += step;
    program.parameters().set(name, Tensor.ofDoubles(start.shape(), values));
    return program.run(batch).get("loss").item();
  }
}
