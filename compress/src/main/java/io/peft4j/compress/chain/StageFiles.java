package io.peft4j.compress.chain;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.PretrainedModel;
import io.peft4j.compress.compare.Candidate;
import io.peft4j.compress.compare.Comparison;
import io.peft4j.compress.export.VerifiedExport;
import io.peft4j.data.Dataset;
import io.peft4j.format.Formats;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** Writes the models of a chain side by side, and measures the files. */
public final class StageFiles {
  private static final double TOLERANCE = 1e-4;
  private static final String QUANTIZED = "int8";
  private static final ObjectMapper JSON = new ObjectMapper();

  private StageFiles() {}

  /**
   * Writes {@code STAGE.onnx} for each stage, the tokenizer, {@code compare.json} and {@code
   * compare.html}.
   *
   * @param folder is there already
   * @param tokenizer the file of all models' tokenizer
   * @param test rows that no stage has seen
   * @param maxLength tokens of a text at most
   */
  public static CompactResult write(
      Path folder,
      List<Compaction.Stage> stages,
      Path tokenizer,
      Dataset test,
      int maxLength,
      Consumer<String> progress)
      throws IOException {
    Files.copy(tokenizer, folder.resolve("tokenizer.json"), StandardCopyOption.REPLACE_EXISTING);
    List<Candidate> candidates = new ArrayList<>();
    for (Compaction.Stage stage : stages) {
      Path file = folder.resolve(stage.name() + ".onnx");
      export(stage, file);
      candidates.add(Candidate.of(file).named(stage.name()));
    }
    CompactResult result =
        new CompactResult(
            Comparison.of(candidates, test).measuring(8, maxLength, 0).telling(progress).run());
    JSON.writerWithDefaultPrettyPrinter()
        .writeValue(folder.resolve("compare.json").toFile(), result.rows());
    Files.writeString(folder.resolve("compare.html"), result.comparison().html());
    return result;
  }

  /**
   * Quantised models are those that ONNX Runtime computes in integers; the comparison runs them.
   */
  private static void export(Compaction.Stage stage, Path file) {
    PretrainedModel model = stage.model();
    if (stage.name().endsWith(QUANTIZED)) {
      Formats.modelNamed("onnx").write(model.checkpoint(), model.graph(), file);
    } else {
      VerifiedExport.onnx(model, file, TOLERANCE);
    }
  }
}
