package io.peft4j.compress.export;

import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngine;
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
    try (Program torch = TorchEngine.compile(model.graph(), CompileOptions.evaluation())) {
      return write(model, torch, target, tolerance);
    }
  }

  /**
   * Writes an ONNX file that nothing has changed as ONNX of the current version, if ONNX Runtime
   * gives the same outputs for both. Operators that the training engine lacks are no matter.
   *
   * @param model as it was read from an ONNX file
   * @param target replaced if it is there
   * @param tolerance the largest difference to accept
   * @return the largest difference that was found
   * @throws PeftException if the difference is larger; nothing is written then
   */
  public static double rewritten(PretrainedModel model, Path target, double tolerance) {
    try (Program source = runtime().open(model.checkpoint().source())) {
      return write(model, source, target, tolerance);
    }
  }

  private static InferenceEngine runtime() {
    return InferenceEngines.named(InferenceEngines.ONNX_RUNTIME);
  }

  private static double write(
      PretrainedModel model, Program reference, Path target, double tolerance) {
    Graph graph = model.graph();
    Map<String, Tensor> probe = ProbeInputs.of(graph);
    double difference;
    try (Program written = runtime().compile(graph)) {
      difference = OutputDifference.largest(reference.run(probe), written.run(probe));
    }
    if (!(difference <= tolerance)) {
      throw new PeftException(
          "ONNX Runtime's outputs for %s differ by %.3g, more than the tolerance %.3g; nothing was written: look at its types with 'peft4j inspect', or raise the tolerance"
              .formatted(graph.name(), difference, tolerance));
    }
    Formats.modelNamed("onnx").write(model.checkpoint(), graph, target);
    return difference;
  }
}
