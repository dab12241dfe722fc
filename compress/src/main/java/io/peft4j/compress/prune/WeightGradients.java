package io.peft4j.compress.prune;

import static java.util.Objects.requireNonNull;

import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Value;
import io.peft4j.task.Loss;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** Gradients of weights on calibration data. */
final class WeightGradients {
  private WeightGradients() {}

  /**
   * The mean over batches of dL/dw, or of its square.
   *
   * @return by weight, row by row
   */
  static Map<String, double[]> of(
      Graph graph, Set<String> weights, Calibration data, boolean squared) {
    GraphEditor editor = graph.edit().freezeAll();
    weights.forEach(editor::train);
    Graph judged = data.objective().attach(editor.build(), data.logits());
    Graph loss =
        judged.edit().clearOutputs().output(Value.of(Loss.OUTPUT, DType.FLOAT32)).prune().build();
    Map<String, double[]> means = new LinkedHashMap<>();
    weights.forEach(
        name -> means.put(name, new double[Math.toIntExact(graph.initializer(name).size())]));
    int batches = data.batches();
    try (TorchProgram program = TorchEngine.compile(loss, CompileOptions.evaluation())) {
      for (int number = 0; number < batches; number++) {
        program.backward(data.batch(number), Loss.OUTPUT);
        for (String name : loss.trainable()) {
          double[] mean = requireNonNull(means.get(name));
          float[] gradient = program.parameters().gradient(name).toFloats();
          Arrays.setAll(
              mean,
              i ->
                  mean[i] + (squared ? (double) gradient[i] * gradient[i] : gradient[i]) / batches);
        }
        program.parameters().zeroGradients();
      }
    }
    return means;
  }
}
