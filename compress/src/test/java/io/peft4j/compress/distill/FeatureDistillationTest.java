package io.peft4j.compress.distill;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.compress.prune.LayerPruning;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.FeatureBatches;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.network.Activation;
import io.peft4j.network.FeedForwardNetwork;
import io.peft4j.task.Pooling;
import io.peft4j.train.Evaluation;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Students of vectors: on plain features, and encoders of sentences. */
class FeatureDistillationTest {
  private static final int ROWS = 300;

  @Test
  void smallNetworkLearnsALargeOnesClassesWithoutLabels() {
    Random random = new Random(4);
    float[][] features = new float[ROWS][6];
    for (float[] row : features) {
      for (int i = 0; i < row.length; i++) {
        row[i] = (float) random.nextGaussian();
      }
    }
    long[] none = new long[ROWS];
    Arrays.fill(none, SoftTargets.UNLABELLED);
    BatchSource rows = new FeatureBatches(FeedForwardNetwork.INPUT, features, none);
    PretrainedModel teacher =
        FeedForwardNetwork.builder().input(6).hidden(64, Activation.TANH).output(3).seed(1).build();
    PretrainedModel student =
        FeedForwardNetwork.builder().input(6).hidden(6, Activation.TANH).output(3).seed(2).build();
    float[][] said = scores(teacher.graph(), rows);
    Distillation.Result result =
        Distillation.standard()
            .distil(
                Trainer.with(
                    Recipe.builder().optEpochs(40).optBatchSize(20).optLearningRate(2e-2).build()),
                student,
                rows,
                Answers.of(SoftTargets.TEACHER, said),
                null);
    assertThat(agreement(said, scores(student.graph(), rows))).isLessThan(0.7);
    assertThat(agreement(said, scores(result.model().graph(), rows))).isGreaterThan(0.9);
  }

  private static float[][] scores(Graph graph, BatchSource rows) {
    try (Program program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return Evaluation.scores(program, rows, FeedForwardNetwork.LOGITS);
    }
  }

  private static double agreement(float[][] one, float[][] other) {
    long[] a = Evaluation.classes(one);
    long[] b = Evaluation.classes(other);
    int same = 0;
    for (int i = 0; i < a.length; i++) {
      same += a[i] == b[i] ? 1 : 0;
    }
    return same / (double) a.length;
  }

  @Test
  void shorterEncoderGivesItsTeachersVectors() {
    PretrainedModel teacher = encoder();
    PretrainedModel student =
        new PretrainedModel(
            teacher.checkpoint().withGraph(LayerPruning.keep(teacher.graph(), Set.of(1))));
    Dataset texts = TinyTeacher.texts();
    try (TextTokenizer tokenizer = TinyTeacher.tokenizer()) {
      PretrainedModel taught =
          EmbeddingDistillation.standard()
              .distil(
                  Trainer.with(
                      Recipe.builder().optEpochs(15).optBatchSize(7).optLearningRate(1e-2).build()),
                  teacher,
                  student,
                  tokenizer,
                  texts);
      float[][] wanted = vectors(Pooling.MEAN.features(teacher.graph()), texts, tokenizer);
      float[][] before = vectors(Pooling.MEAN.features(student.graph()), texts, tokenizer);
      double start = cosine(wanted, before);
      double end = cosine(wanted, vectors(taught.graph(), texts, tokenizer));
      assertThat(1 - end).isLessThan(0.5 * (1 - start));
    }
  }

  /** The fixture without its head. */
  private static PretrainedModel encoder() {
    PretrainedModel whole = Checkpoints.open(Path.of("src/test/resources/base-bert"));
    Graph graph = whole.graph();
    var layers = StackLayer.of(graph);
    String output = layers.get(layers.size() - 1).output();
    return new PretrainedModel(
        whole
            .checkpoint()
            .withGraph(
                graph
                    .edit()
                    .clearOutputs()
                    .output(
                        io.peft4j.graph.Value.of(
                            output, io.peft4j.graph.DType.FLOAT32, "batch", "sequence", 32))
                    .prune()
                    .build()));
  }

  private static float[][] vectors(Graph graph, Dataset texts, TextTokenizer tokenizer) {
    try (Program program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return Evaluation.scores(
          program,
          new TextBatches(texts, new long[0], tokenizer, program.inputNames()),
          Pooling.FEATURES);
    }
  }

  private static double cosine(float[][] one, float[][] other) {
    double sum = 0;
    for (int row = 0; row < one.length; row++) {
      double dot = 0;
      double a = 0;
      double b = 0;
      for (int i = 0; i < one[row].length; i++) {
        dot += one[row][i] * other[row][i];
        a += one[row][i] * one[row][i];
        b += other[row][i] * other[row][i];
      }
      sum += dot / Math.sqrt(a * b) / one.length;
    }
    return sum;
  }
}
