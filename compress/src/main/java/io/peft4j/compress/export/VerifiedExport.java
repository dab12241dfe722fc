package io.peft4j.compress.export;

import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.format.Formats;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.Map;

/** Exports that are run in ONNX Runtime before they are written. */
public final class VerifiedExport {
  private VerifiedExport() {}

  /**
   * Writes a model as ONNX if ONNX Runtime gives the same outputs for it as the training engine, on
   * a probe batch.
   *
   * @param target replaced if it is there
   * @param tolerance the largest difference to accept
   * @return the largest difference that was found
   * @throws PeftException if the difference is larger; nothing is written then
   */
  public static double onnx(PretrainedModel model, Path target, double tolerance) {
    Graph graph = model.graph();
    Map<String, Tensor> probe = ProbeInputs.of(graph);
    double difference;
    try (Program torch = TorchEngine.compile(graph, CompileOptions.evaluation());
        Program runtime = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(graph)) {
      difference = OutputDifference.largest(torch.run(probe), runtime.run(probe));
    }
    if (!(difference <= tolerance)) {
      throw new PeftException(
          "ONNX Runtime's outputs for %s differ by %.3g, more than the tolerance %.3g; nothing was written: look at its types with 'peft4j inspect'"
              .formatted(graph.name(), difference, tolerance));
    }
    Formats.modelNamed("onnx").write(model.checkpoint(), graph, target);
    return difference;
  }
}
