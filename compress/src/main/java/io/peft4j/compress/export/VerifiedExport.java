package io.peft4j.compress.export;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngine;
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
import org.jspecify.annotations.Nullable;

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
    Graph reference = Names.rename(export.task().apply(model.graph()), export.names());
    try (Program torch = TorchEngine.compile(reference, CompileOptions.evaluation())) {
      return write(model, export, torch, target, tolerance);
    }
  }

  /**
   * Likewise for an ONNX file that nothing has changed, which is held against itself in ONNX
   * Runtime, so that operators that the training engine lacks are no matter. Where a task or other
   * names are asked for, the training engine judges.
   *
   * @param model as it was read from an ONNX file
   */
  public static double rewritten(
      PretrainedModel model, OnnxExport export, Path target, double tolerance) {
    if (export.task() != ExportTask.AS_IT_IS || !export.names().isEmpty()) {
      return onnx(model, export, target, tolerance);
    }
    InferenceEngine runtime = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME);
    try (Program source = runtime.open(model.checkpoint().source())) {
      return write(model, export, source, target, tolerance);
    }
  }

  private static double write(
      PretrainedModel model, OnnxExport export, Program reference, Path target, double tolerance) {
    Graph graph = export.apply(model.graph());
    double difference = difference(reference, export, graph);
    if (!(difference <= tolerance)) {
      throw new PeftException(
          "ONNX Runtime's outputs for %s differ by %.3g, more than the tolerance %.3g; nothing was written: look at its types with 'peft4j inspect', or raise the tolerance"
              .formatted(graph.name(), difference, tolerance));
    }
    new OnnxFormat().write(graph, export.opset(), target);
    return difference;
  }

  private static double difference(Program reference, OnnxExport export, Graph graph) {
    List<Map<String, Tensor>> probes = new ArrayList<>(List.of(ProbeInputs.of(graph)));
    if (isFree(export.batch()) || isFree(export.sequence())) {
      Dim batch = isFree(export.batch()) ? OTHER_BATCH : null;
      Dim sequence = isFree(export.sequence()) ? OTHER_LENGTH : null;
      probes.add(ProbeInputs.of(Axes.set(graph, batch, sequence)));
    }
    double worst = 0;
    try (Program runtime = runtime(graph, export.opset())) {
      for (Map<String, Tensor> probe : probes) {
        double difference = OutputDifference.largest(reference.run(probe), runtime.run(probe));
        if (Double.isNaN(difference)) {
          return difference;
        }
        worst = Math.max(worst, difference);
      }
    }
    return worst;
  }

  private static boolean isFree(@Nullable Dim dim) {
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
