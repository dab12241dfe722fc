package io.peft4j.compress.prune;

import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.Program;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.util.Map;

/**
 * Times graphs in ONNX Runtime.
 *
 * @param inputs of every run
 */
record MeasuredLatency(Map<String, Tensor> inputs) {
  private static final int WARM_UP = 10;
  private static final int RUNS = 41;

  /** The least of several runs in nanoseconds, which other work on the machine disturbs least. */
  long of(Graph graph) {
    try (Program program = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(graph)) {
      for (int i = 0; i < WARM_UP; i++) {
        program.run(inputs);
      }
      long least = Long.MAX_VALUE;
      for (int i = 0; i < RUNS; i++) {
        long start = System.nanoTime();
        program.run(inputs);
        least = Math.min(least, System.nanoTime() - start);
      }
      return least;
    }
  }
}
