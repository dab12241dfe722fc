package io.peft4j.compress.export;

import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.data.TextTokenizers;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.format.AtomicWrite;
import io.peft4j.format.Formats;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.task.Metrics;
import io.peft4j.task.PooledHead;
import io.peft4j.task.Pooling;
import io.peft4j.train.Evaluation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A model handed over as a folder: the weights, the tokenizer, the names of the classes, what DJL
 * needs to serve it, and a card that says what it is.
 *
 * @param pooling how vectors of tokens become one, where the model gives vectors
 * @param maxLength tokens of a text at most
 * @param tolerance the largest output difference to accept
 * @param judge rows with labels to judge the written files on; null for none
 */
public record ExportFolder(
    Pooling pooling, int maxLength, double tolerance, @Nullable Dataset judge) {
  private static final String FILE = "model.onnx";
  private static final String CARD = "README.md";

  /**
   * Writes a folder with {@code model.onnx}, whole or not at all.
   *
   * @return the largest output difference that was found
   */
  public double onnx(PretrainedModel model, OnnxExport export, Path target) {
    double[] difference = new double[1];
    AtomicWrite.folder(
        target,
        folder -> {
          Path file = folder.resolve(FILE);
          difference[0] = VerifiedExport.onnx(model, export, file, tolerance);
          Graph graph = export.apply(model.graph());
          boolean text = serving(model, graph, folder);
          String form =
              "ONNX, opset %d, %s"
                  .formatted(export.opset(), export.half() ? "float16" : "weights as they were");
          write(model, graph, form, text, difference[0], folder, file);
        });
    return difference[0];
  }

  /**
   * Writes a folder with SafeTensors weights and config.json, and reads it again.
   *
   * @return the largest output difference between the model and what was read
   * @throws io.peft4j.UnsupportedModelException if the configuration cannot express the model
   */
  public double safetensors(PretrainedModel model, Path target) {
    double[] difference = new double[1];
    AtomicWrite.folder(
        target,
        folder -> {
          Formats.modelNamed("safetensors").write(model.checkpoint(), model.graph(), folder);
          PretrainedModel read = Checkpoints.open(folder);
          difference[0] = difference(model.graph(), read.graph());
          if (!(difference[0] <= tolerance)) {
            throw new PeftException(
                "the written folder's outputs differ by %.3g, more than the tolerance %.3g; nothing was written"
                    .formatted(difference[0], tolerance));
          }
          boolean text = Files.isRegularFile(folder.resolve("tokenizer.json"));
          write(model, model.graph(), "SafeTensors", text, difference[0], folder, folder);
        });
    return difference[0];
  }

  private static double difference(Graph left, Graph right) {
    Map<String, Tensor> probe = ProbeInputs.of(left);
    try (Program a = TorchEngine.compile(left, CompileOptions.evaluation());
        Program b = TorchEngine.compile(right, CompileOptions.evaluation())) {
      return OutputDifference.largest(a.run(probe), b.run(probe));
    }
  }

  /** Writes what lies beside the file; gives whether the model reads text. */
  private boolean serving(PretrainedModel model, Graph graph, Path folder) throws IOException {
    List<String> labels = model.checkpoint().labels();
    boolean text = graph.requiredInputs().contains("input_ids");
    Path tokenizer = text ? tokenizer(model) : null;
    boolean scores = graph.outputs().stream().anyMatch(v -> v.name().equals(PooledHead.LOGITS));
    boolean vectors = graph.outputs().stream().anyMatch(v -> v.name().equals(ExportTask.VECTORS));
    if (tokenizer != null && scores) {
      ServingFiles.textClassification(folder, graph, labels, tokenizer, maxLength);
    } else if (tokenizer != null && vectors) {
      ServingFiles.textEmbedding(folder, graph, pooling, tokenizer, maxLength);
    } else if (tokenizer != null) {
      Files.copy(tokenizer, folder.resolve("tokenizer.json"));
    } else if (scores) {
      ServingFiles.labels(folder, labels);
    }
    return tokenizer != null;
  }

  private static @Nullable Path tokenizer(PretrainedModel model) {
    Path source = model.checkpoint().source().toAbsolutePath();
    Path folder = Files.isDirectory(source) ? source : source.getParent();
    boolean there = folder != null && Files.isRegularFile(folder.resolve("tokenizer.json"));
    return there ? TextTokenizers.file(source) : null;
  }

  private void write(
      PretrainedModel model,
      Graph graph,
      String form,
      boolean text,
      double difference,
      Path folder,
      Path written)
      throws IOException {
    ModelCard.Judged judged = judge == null ? null : judged(model, written, judge);
    ModelCard card = new ModelCard(model, graph, form, text ? maxLength : 0, difference, judged);
    Files.writeString(folder.resolve(CARD), card.text());
  }

  /** Judges the files that were written, in ONNX Runtime or after reading them again. */
  private ModelCard.Judged judged(PretrainedModel model, Path written, Dataset rows) {
    long[] labels = rows.labelIds(model.checkpoint().labels());
    boolean onnx = written.toString().endsWith(".onnx");
    try (TextTokenizer tokenizer = TextTokenizers.open(TextTokenizers.file(written), maxLength);
        Program program =
            onnx
                ? InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).open(written)
                : TorchEngine.compile(
                    Checkpoints.open(written).graph(), CompileOptions.evaluation())) {
      BatchSource batches = new TextBatches(rows, labels, tokenizer, program.inputNames());
      Metrics metrics =
          Evaluation.metrics(Evaluation.scores(program, batches, PooledHead.LOGITS), batches);
      Path name = Path.of(rows.name()).getFileName();
      return new ModelCard.Judged(String.valueOf(name), metrics);
    }
  }
}
