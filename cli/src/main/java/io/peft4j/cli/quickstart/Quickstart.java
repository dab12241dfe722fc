package io.peft4j.cli.quickstart;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.MergedModel;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.compress.chain.CompactResult;
import io.peft4j.compress.chain.Compaction;
import io.peft4j.compress.chain.StageFiles;
import io.peft4j.compress.export.ServingFiles;
import io.peft4j.compress.export.VerifiedExport;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.format.AtomicWrite;
import io.peft4j.graph.Graph;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Evaluation;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import io.peft4j.train.TrainingResult;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The whole job: a checkpoint is opened, an adapter trained, merged and exported, and each step's
 * result is judged on the same test rows.
 */
final class Quickstart {
  private static final Recipe RECIPE =
      Recipe.builder().optEpochs(8).optBatchSize(16).optLearningRate(2e-3).build();

  private static final int RANK = 8;
  private static final double EXPORT_TOLERANCE = 1e-4;

  private final Consumer<String> progress;
  private final TrainingListener listener;

  /**
   * @param progress told what is being done, a line a step
   * @param listener of the training
   */
  Quickstart(Consumer<String> progress, TrainingListener listener) {
    this.progress = progress;
    this.listener = listener;
  }

  /**
   * Does the job and writes the run folder, whole or not at all.
   *
   * @param compaction how to make the result small; null to leave it as it is
   */
  QuickstartReport run(Path output, @Nullable Compaction compaction) {
    long start = System.nanoTime();
    try (EmbeddedModel files = new EmbeddedModel()) {
      progress.accept("opening all-MiniLM-L6-v2 (ONNX)");
      PretrainedModel base = Checkpoints.open(files.model());
      Dataset train = files.data("train");
      Dataset test = files.data("test");
      List<String> labels = train.labels();
      try (TextTokenizer tokenizer = base.tokenizer(RECIPE.maxLength())) {
        progress.accept("baseline: a linear classifier on the frozen encoder");
        double baseline = FrozenBaseline.accuracy(base, tokenizer, train, test, labels);
        progress.accept(
            "training LoRA (r %d) on %d feed-forward blocks with %d tickets in %d classes"
                .formatted(RANK, base.sites().feedForwards().size(), train.size(), labels.size()));
        AdaptedModel adapted =
            base.attach(Lora.rank(RANK).on(Targets.feedForward()), RECIPE.seed());
        TrainingResult training =
            Trainer.with(RECIPE).listening(listener).fit(adapted, train, null);
        progress.accept(
            "merging, exporting, and judging each form on %d tickets".formatted(test.size()));
        MergedModel merged = adapted.merge();
        BatchSource rows =
            new TextBatches(
                test, test.labelIds(labels), tokenizer, adapted.graph().requiredInputs());
        QuickstartReport[] report = new QuickstartReport[1];
        AtomicWrite.folder(
            output,
            folder -> {
              adapted.save(folder.resolve("adapter"));
              TestScores scores = exported(adapted, merged, files, rows, folder);
              CompactResult compact =
                  compaction == null
                      ? null
                      : compact(compaction, merged.model(), tokenizer, files, train, test, folder);
              report[0] =
                  QuickstartReport.of(
                      baseline,
                      scores,
                      adapted.graph(),
                      training.seconds(),
                      start,
                      folder,
                      compact);
              new ObjectMapper()
                  .writerWithDefaultPrettyPrinter()
                  .writeValue(folder.resolve("metrics.json").toFile(), report[0].metrics());
            });
        return report[0];
      }
    }
  }

  private static TestScores exported(
      AdaptedModel adapted, MergedModel merged, EmbeddedModel files, BatchSource rows, Path folder)
      throws IOException {
    Path file = folder.resolve("model.onnx");
    VerifiedExport.onnx(merged.model(), file, EXPORT_TOLERANCE);
    ServingFiles.textClassification(
        folder, merged.model().graph(), merged.labels(), files.tokenizer(), RECIPE.maxLength());
    try (Program runtime = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).open(file)) {
      return new TestScores(
          rows,
          scores(adapted.graph(), rows),
          scores(merged.model().graph(), rows),
          Evaluation.scores(runtime, rows, PooledHead.LOGITS));
    }
  }

  private CompactResult compact(
      Compaction compaction,
      PretrainedModel merged,
      TextTokenizer tokenizer,
      EmbeddedModel files,
      Dataset train,
      Dataset test,
      Path folder)
      throws IOException {
    List<Compaction.Stage> stages =
        compaction.run(merged, tokenizer, train, null, progress, listener);
    progress.accept("measuring each form");
    return StageFiles.write(
        folder, stages, files.tokenizer(), test, RECIPE.maxLength(), line -> {});
  }

  private static float[][] scores(Graph graph, BatchSource rows) {
    try (Program program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return Evaluation.scores(program, rows, PooledHead.LOGITS);
    }
  }
}
