package io.peft4j.engine;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.DType;

/**
 * How a graph is compiled.
 *
 * @param training whether Dropout nodes drop; otherwise they do nothing
 * @param precision {@link DType#FLOAT32}, or {@link DType#FLOAT64}, which also remaps the weights,
 *     constants and casts of the graph that are float32
 */
public record CompileOptions(boolean training, DType precision) {
  public CompileOptions {
    if (precision != DType.FLOAT32 && precision != DType.FLOAT64) {
      throw new UnsupportedModelException(
          "precision must be float32 or float64, was " + precision.label());
    }
  }

  /** Evaluation in float32. */
  public static CompileOptions evaluation() {
    return new CompileOptions(false, DType.FLOAT32);
  }

  /** Training in float32: Dropout nodes drop. */
  public static CompileOptions forTraining() {
    return new CompileOptions(true, DType.FLOAT32);
  }

  public CompileOptions withPrecision(DType newPrecision) {
    return new CompileOptions(training, newPrecision);
  }
}
