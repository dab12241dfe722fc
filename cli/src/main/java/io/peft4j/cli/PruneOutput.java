package io.peft4j.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.compress.export.ServingFiles;
import io.peft4j.compress.export.VerifiedExport;
import io.peft4j.compress.prune.EvenCheckpoint;
import io.peft4j.data.TextTokenizers;
import io.peft4j.format.AtomicWrite;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Where {@code peft4j prune} writes to. */
final class PruneOutput {
  private static final double TOLERANCE = 1e-4;
  private static final String MODEL = "model.onnx";
  private static final String REPORT = "prune.json";

  private final PruneRecipe recipe;
  private final Path target;
  private final boolean overwrite;

  PruneOutput(PruneRecipe recipe, boolean overwrite) {
    this.recipe = recipe;
    target = recipe.output();
    this.overwrite = overwrite;
  }

  /** Whether it is one ONNX file rather than a folder. */
  private boolean isFile() {
    return onnx() && target.toString().endsWith(".onnx");
  }

  private boolean onnx() {
    return recipe.format() == ExportCommand.Format.ONNX;
  }

  /** Refuses to write over what must stay. */
  void requireFree() {
    if (isFile() || !onnx()) {
      Outputs.requireModelTarget(target, overwrite, recipe.model(), recipe.adapter());
    } else if (overwrite) {
      Outputs.requireReplaceable(target, List.of(MODEL, REPORT));
    } else {
      Outputs.requireEmpty(target);
    }
  }

  /**
   * Writes the model, whole or not at all, once ONNX Runtime gives the same outputs for it, or the
   * folder, read again, does.
   */
  PruneReport write(PruneRun run) {
    if (isFile()) {
      double difference = VerifiedExport.onnx(run.model(), target, TOLERANCE);
      Outputs.tokenizerBeside(target, recipe.model());
      return run.report(run.oldTokenizer(), difference);
    }
    if (!onnx()) {
      EvenCheckpoint.write(run.pruned(), target);
      return run.report(run.oldTokenizer(), 0);
    }
    PruneReport[] report = new PruneReport[1];
    AtomicWrite.folder(target, folder -> report[0] = write(run, folder));
    return report[0];
  }

  private PruneReport write(PruneRun run, Path folder) throws IOException {
    double difference = VerifiedExport.onnx(run.model(), folder.resolve(MODEL), TOLERANCE);
    Path tokenizer = TextTokenizers.beside(folder.resolve(MODEL));
    writeTokenizer(run.newTokenizer(), run.oldTokenizer(), tokenizer);
    List<String> labels = run.model().checkpoint().labels();
    if (Files.exists(tokenizer) && run.model().hasLogits() && !labels.isEmpty()) {
      ServingFiles.textClassification(
          folder, run.model().graph(), labels, tokenizer, recipe.training().maxLength());
    }
    PruneReport report = run.report(tokenizer, difference);
    new ObjectMapper()
        .writerWithDefaultPrettyPrinter()
        .writeValue(folder.resolve(REPORT).toFile(), report);
    return report;
  }

  private static void writeTokenizer(@Nullable String text, Path old, Path target)
      throws IOException {
    if (text != null) {
      Files.writeString(target, text);
    } else if (Files.exists(old)) {
      Files.copy(old, target);
    }
  }
}
