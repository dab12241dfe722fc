package io.peft4j.examples;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.MergedModel;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingResult;
import java.nio.file.Path;

/**
 * Makes a text classifier out of a pretrained encoder: trains a LoRA adapter, keeps it in a folder
 * that PEFT reads, merges it and writes an ONNX file.
 */
public final class TextClassifier {
  private TextClassifier() {}

  /**
   * @param args the encoder (an ONNX file, or a folder with config.json and SafeTensors; its
   *     tokenizer.json beside it), training rows, validation rows (TSV, CSV or JSONL with the
   *     columns text and label), and the folder to write {@code adapter} and {@code model.onnx} to
   */
  public static void main(String[] args) {
    Path output = Path.of(args[3]);
    Dataset train = DataFiles.read(Path.of(args[1]), DataFiles.Columns.standard(), true);
    Dataset validation = DataFiles.read(Path.of(args[2]), DataFiles.Columns.standard(), true);
    Recipe recipe = Recipe.builder().optEpochs(4).optLearningRate(2e-3).build();

    PretrainedModel base = Checkpoints.open(Path.of(args[0]));
    AdaptedModel adapted = base.attach(Lora.rank(8).on(Targets.feedForward()));
    TrainingResult result = Trainer.with(recipe).fit(adapted, train, validation);
    adapted.save(output.resolve("adapter"));
    MergedModel merged = adapted.merge();
    merged.model().save(output.resolve("model.onnx"));

    System.out.printf(
        "best epoch %d of %d: %s%nlargest difference of the merged model's outputs: %.1e%n",
        result.bestEpoch() + 1,
        result.epochs().size(),
        result.validation(),
        merged.maxOutputDifference());
  }
}
