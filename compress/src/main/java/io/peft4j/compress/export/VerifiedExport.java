package io.peft4j.compress.export;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.onnx.OnnxFormat;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Exports that are run in ONNX Runtime before they are written. */
public final class VerifiedExport {
  private static final Dim OTHER_BATCH = Dim.of(1);
  private static final Dim OTHER_LENGTH = Dim.of(7);

  private VerifiedExport() {}

  /**
   * Writes a model as ONNX, its graph as it is; see {@link #onnx(PretrainedModel, OnnxExport, Path,
   * double)}.
   */
  public static double onnx(PretrainedModel model, Path target, double tolerance) {
    return onnx(model, OnnxExport.standard(), target, tolerance);
  }

  /**
   * Writes a model as ONNX if ONNX Runtime gives the same outputs for the very file as the training
   * engine for the model, on a probe batch, and on another of other sizes where axes were set free.
   *
   * @param target replaced if it is there
   * @param tolerance the largest difference to accept
   * @return the largest difference that was found
   * @throws PeftException if the difference is larger; nothing is written then
   */
  public static double onnx(
      PretrainedModel model, OnnxExport export, Path target, double tolerance) {
    Graph graph = export.apply(model.graph());
    double difference = difference(model.graph(), export, graph);
    if (!(difference <= tolerance)) {
      throw new PeftException(
          "ONNX Runtime's outputs for %s differ by %.3g, more than the tolerance %.3g; nothing was written: look at its types with 'peft4j inspect'"
              .formatted(graph.name(), difference, tolerance));
    }
    new OnnxFormat().write(graph, export.opset(), target);
    return difference;
  }

  private static double difference(Graph original, OnnxExport export, Graph graph) {
    Graph reference = Names.rename(export.task().apply(original), export.names());
    List<Map<String, Tensor>> probes = new ArrayList<>(List.of(ProbeInputs.of(graph)));
    if (isFree(export.batch()) || isFree(export.sequence())) {
      Dim batch = isFree(export.batch()) ? OTHER_BATCH : null;
      Dim sequence = isFree(export.sequence()) ? OTHER_LENGTH : null;
      probes.add(ProbeInputs.of(Axes.set(graph, batch, sequence)));
    }
    double worst = 0;
    try (Program torch = TorchEngine.compile(reference, CompileOptions.evaluation());
        Program runtime = runtime(graph, export.opset())) {
      for (Map<String, Tensor> probe : probes) {
        double difference = OutputDifference.largest(torch.run(probe), runtime.run(probe));
        if (Double.isNaN(difference)) {
          return difference;
        }
        worst = Math.max(worst, difference);
      }
    }
    return worst;
  }

  private static boolean isFree(@org.jspecify.annotations.Nullable Dim dim) {
    return dim != null && !dim.isFixed();
  }

  /** The file that is to be written, opened. */
  private static Program runtime(Graph graph, int opset) {
    try {
      Path folder = Files.createTempDirectory("peft4j-export");
      try {
        Path file = folder.resolve("model.onnx");
        new OnnxFormat().write(graph, opset, file);
        return InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).open(file);
      } finally {
        // The session has read the file whole.
        MoreFiles.deleteRecursively(folder, RecursiveDeleteOption.ALLOW_INSECURE);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
