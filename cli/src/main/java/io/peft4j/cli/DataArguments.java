package io.peft4j.cli;

import io.peft4j.PeftException;
import io.peft4j.data.BatchSource;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.engine.Program;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Evaluation;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** A data file, and the model run over it. */
final class DataArguments {
  @Option(
      names = "--data",
      required = true,
      paramLabel = "FILE",
      description = "A .tsv, .csv or .jsonl file.")
  private Path data = Path.of("");

  @Mixin private TextArguments texts = new TextArguments();

  @Option(names = "--engine", description = "${COMPLETION-CANDIDATES} (default: pytorch).")
  private EngineName engine = EngineName.PYTORCH;

  /** A data file's rows with the model's scores of each, [rows][labels]. */
  record Scored(Dataset rows, List<String> labels, float[][] scores) {}

  Scored score(ModelArguments.Opened opened, boolean labelled) {
    Dataset rows = DataFiles.read(data, texts.columns(), labelled);
    List<String> labels = opened.labels();
    if (labels.isEmpty()) {
      throw new PeftException(
          "the model does not say which labels it scores; give the adapter that it was trained"
              + " with");
    }
    long[] known = labelled ? rows.labelIds(labels) : new long[0];
    try (TextTokenizer tokenizer = opened.base().tokenizer(texts.maxLength());
        Program program = engine.compile(opened.graph())) {
      BatchSource batches = new TextBatches(rows, known, tokenizer, program.inputNames());
      return new Scored(rows, labels, Evaluation.scores(program, batches, PooledHead.LOGITS));
    }
  }
}
