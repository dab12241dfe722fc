package io.peft4j.cli;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import io.peft4j.task.Metrics;
import io.peft4j.train.Evaluation;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code peft4j evaluate}. */
@Command(name = "evaluate", description = "Judge a text classifier on labelled rows.")
final class EvaluateCommand extends Subcommand {
  @Mixin private ModelArguments model = new ModelArguments();
  @Mixin private DataArguments data = new DataArguments();

  /** What is printed; the loss is the mean cross entropy. */
  @JsonPropertyOrder({"examples", "accuracy", "macroF1", "loss"})
  record Result(int examples, double accuracy, double macroF1, double loss) {}

  @Override
  protected void execute() {
    DataArguments.Scored scored = data.score(model.open(), true);
    long[] labels = scored.rows().labelIds(scored.labels());
    Metrics metrics =
        Metrics.of(Evaluation.classes(scored.scores()), labels, scored.labels().size());
    double loss = 0;
    for (int i = 0; i < labels.length; i++) {
      loss -= Math.log(Softmax.of(scored.scores()[i])[(int) labels[i]]) / labels.length;
    }
    Result result = new Result(metrics.examples(), metrics.accuracy(), metrics.macroF1(), loss);
    print(
        result,
        String.format(
            Locale.ROOT,
            "examples  %d%naccuracy  %.4f%nmacro F1  %.4f%nloss      %.4f",
            result.examples(),
            result.accuracy(),
            result.macroF1(),
            result.loss()));
  }
}
