package io.peft4j.cli;

import io.peft4j.train.Evaluation;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code peft4j predict}. */
@Command(
    name = "predict",
    description = "Print the most probable label of each row, and its probability.")
final class PredictCommand extends Subcommand {
  @Mixin private ModelArguments model = new ModelArguments();
  @Mixin private DataArguments data = new DataArguments();

  /** One row's prediction. */
  record Prediction(String label, double probability) {}

  @Override
  protected void execute() {
    DataArguments.Scored scored = data.score(model.open(), false);
    long[] classes = Evaluation.classes(scored.scores());
    List<Prediction> predictions = new ArrayList<>();
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < classes.length; i++) {
      int best = (int) classes[i];
      Prediction prediction =
          new Prediction(scored.labels().get(best), Softmax.of(scored.scores()[i])[best]);
      predictions.add(prediction);
      text.append(
          String.format(Locale.ROOT, "%s\t%.4f%n", prediction.label(), prediction.probability()));
    }
    print(predictions, text.toString());
  }
}
