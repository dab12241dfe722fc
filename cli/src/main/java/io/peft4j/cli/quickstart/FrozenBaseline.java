package io.peft4j.cli.quickstart;

import io.peft4j.PretrainedModel;
import io.peft4j.adapters.freeze.FreezeMask;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.FeatureBatches;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.network.FeedForwardNetwork;
import io.peft4j.task.Loss;
import io.peft4j.task.Pooling;
import io.peft4j.train.Evaluation;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import java.util.List;

/**
 * What is reached without an adapter: a linear classifier, trained to convergence, on the vectors
 * that the frozen encoder gives.
 */
final class FrozenBaseline {
  private static final Recipe LINEAR =
      Recipe.builder()
          .optEpochs(60)
          .optBatchSize(32)
          .optLearningRate(1e-2)
          .optWeightDecay(0)
          .build();

  private FrozenBaseline() {}

  /** The share of test rows that are classified rightly. */
  static double accuracy(
      PretrainedModel encoder,
      TextTokenizer tokenizer,
      Dataset train,
      Dataset test,
      List<String> labels) {
    Graph features = Pooling.MEAN.features(encoder.graph());
    float[][] trainVectors;
    float[][] testVectors;
    try (Program program = TorchEngine.compile(features, CompileOptions.evaluation())) {
      trainVectors = vectors(program, train, tokenizer);
      testVectors = vectors(program, test, tokenizer);
    }
    BatchSource trainRows =
        new FeatureBatches(FeedForwardNetwork.INPUT, trainVectors, train.labelIds(labels));
    BatchSource testRows =
        new FeatureBatches(FeedForwardNetwork.INPUT, testVectors, test.labelIds(labels));
    var classifier =
        FeedForwardNetwork.builder()
            .input(trainVectors[0].length)
            .output(labels.size())
            .build()
            .attach(FreezeMask.all());
    Trainer.with(LINEAR)
        .fit(classifier, trainRows, null, Loss.CROSS_ENTROPY, FeedForwardNetwork.LOGITS);
    try (Program program = TorchEngine.compile(classifier.graph(), CompileOptions.evaluation())) {
      float[][] scores = Evaluation.scores(program, testRows, FeedForwardNetwork.LOGITS);
      return Evaluation.metrics(scores, testRows).accuracy();
    }
  }

  private static float[][] vectors(Program program, Dataset data, TextTokenizer tokenizer) {
    BatchSource rows = new TextBatches(data, new long[0], tokenizer, program.inputNames());
    return Evaluation.scores(program, rows, Pooling.FEATURES);
  }
}
