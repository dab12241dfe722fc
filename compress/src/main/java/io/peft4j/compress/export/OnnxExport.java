package io.peft4j.compress.export;

import io.peft4j.RecipeException;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How a model is written as ONNX.
 *
 * @param opset the operator set of the file, 17 to 21
 * @param half whether weights and computation are float16; inputs and outputs keep their types
 * @param task what the file gives
 * @param batch the first axis of every input: a fixed size, or a symbol for one that each run
 *     decides; null to leave it as it is
 * @param sequence likewise the second axis
 * @param names new names of inputs and outputs, by their old ones
 */
public record OnnxExport(
    int opset,
    boolean half,
    ExportTask task,
    @Nullable Dim batch,
    @Nullable Dim sequence,
    Map<String, String> names) {
  private static final int OLDEST = 17;
  private static final double TOLERANCE = 1e-4;
  private static final double HALF_TOLERANCE = 2e-2;

  public OnnxExport {
    if (opset < OLDEST || opset > Graph.OPSET) {
      throw new RecipeException(
          "opset must be from %d to %d, was %d".formatted(OLDEST, Graph.OPSET, opset));
    }
    names = Collections.unmodifiableMap(new LinkedHashMap<>(names));
  }

  /** The graph as it is, in the newest operator set. */
  public static OnnxExport standard() {
    return new OnnxExport(Graph.OPSET, false, ExportTask.AS_IT_IS, null, null, Map.of());
  }

  public OnnxExport withOpset(int newOpset) {
    return new OnnxExport(newOpset, half, task, batch, sequence, names);
  }

  public OnnxExport withHalf(boolean newHalf) {
    return new OnnxExport(opset, newHalf, task, batch, sequence, names);
  }

  public OnnxExport withTask(ExportTask newTask) {
    return new OnnxExport(opset, half, newTask, batch, sequence, names);
  }

  public OnnxExport withAxes(@Nullable Dim newBatch, @Nullable Dim newSequence) {
    return new OnnxExport(opset, half, task, newBatch, newSequence, names);
  }

  public OnnxExport withNames(Map<String, String> newNames) {
    return new OnnxExport(opset, half, task, batch, sequence, newNames);
  }

  /** The largest output difference that is usual: 1e-4, or 2e-2 in float16. */
  public double tolerance() {
    return half ? HALF_TOLERANCE : TOLERANCE;
  }

  /**
   * The graph that is written, in the newest operator set.
   *
   * @throws io.peft4j.PeftException if the model lacks what is asked for
   */
  public Graph apply(Graph graph) {
    Graph chosen = Names.rename(task.apply(graph), names);
    Graph shaped = Axes.set(chosen, batch, sequence);
    return half ? HalfPrecision.of(shaped) : shaped;
  }
}
