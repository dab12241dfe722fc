package io.peft4j.cli;

import io.peft4j.AdaptedModel;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.compress.calibrate.Calibration;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.task.Metrics;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Rows that a model is looked at on while it is made compact, and may train on afterwards. */
final class RowsArguments {
  @Option(
      names = "--data",
      paramLabel = "FILE",
      description = "A .tsv, .csv or .jsonl file of texts as the model will see them.")
  private @Nullable Path data;

  @Option(
      names = "--validation",
      paramLabel = "FILE",
      description = "With --epochs: labelled rows to keep the best epoch by.")
  private @Nullable Path validation;

  @Mixin private TextArguments texts = new TextArguments();

  @Option(
      names = "--rows",
      converter = NumberArguments.Count.class,
      description = "Rows of --data to calibrate on, drawn at random (default: 128).")
  private int rows = 128;

  @Option(
      names = "--epochs",
      converter = NumberArguments.Count.class,
      description = "Train all weights on the labels of --data for so many epochs.")
  private @Nullable Integer epochs;

  @Option(names = "--learning-rate", description = "Of the training (default: 5e-5).")
  private double learningRate = 5e-5;

  boolean given() {
    return data != null;
  }

  boolean trains() {
    return epochs != null;
  }

  /**
   * What is wrong with the arguments alone; null if nothing is.
   *
   * @param needed whether something needs rows
   */
  @Nullable String mistake(String who, boolean needed) {
    if (data == null && needed) {
      return who + " needs --data";
    }
    if (data == null && epochs != null) {
      return "--epochs needs --data with labels";
    }
    if (epochs == null && validation != null) {
      return "--validation goes with --epochs";
    }
    return null;
  }

  private Dataset read(Path file, boolean labelled) {
    return DataFiles.read(file, texts.columns(), labelled);
  }

  /** Rows to calibrate on, the same each time; null if none were given. */
  @Nullable Calibration calibration(PretrainedModel model) {
    if (data == null) {
      return null;
    }
    Dataset all = read(data, false);
    List<Example> drawn = new ArrayList<>(all.examples());
    Collections.shuffle(drawn, new Random(0));
    Dataset some = new Dataset(all.name(), drawn.subList(0, Math.min(rows, drawn.size())));
    try (TextTokenizer tokenizer = model.tokenizer(texts.maxLength())) {
      List<String> inputs = model.graph().requiredInputs();
      return Calibration.of(new TextBatches(some, new long[0], tokenizer, inputs));
    }
  }

  /**
   * A model after training.
   *
   * @param accuracy on the validation rows; null without them
   */
  record Trained(PretrainedModel model, @Nullable Double accuracy) {}

  /** Trains what a method lets train, and merges; without --epochs nothing changes. */
  Trained trained(PretrainedModel model, AdapterMethod method, TrainingListener listener) {
    if (data == null || epochs == null) {
      return new Trained(model, null);
    }
    Recipe recipe =
        Recipe.builder()
            .optEpochs(epochs)
            .optLearningRate(learningRate)
            .optMaxLength(texts.maxLength())
            .build();
    AdaptedModel adapted = model.attach(method, recipe.seed());
    Dataset judged = validation == null ? null : read(validation, true);
    Metrics metrics =
        Trainer.with(recipe)
            .listening(listener)
            .fit(adapted, read(data, true), judged)
            .validation();
    return new Trained(adapted.merge().model(), metrics == null ? null : metrics.accuracy());
  }
}
