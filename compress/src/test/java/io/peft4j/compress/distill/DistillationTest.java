package io.peft4j.compress.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.lora.Lora;
import io.peft4j.compress.distill.FeedForwardStudent.Table;
import io.peft4j.compress.distill.FeedForwardStudent.TokenPooling;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.data.TextTokenizer;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.ProbeInputs;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.network.Activation;
import io.peft4j.network.Initialisation;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class DistillationTest {
  private static final TextTokenizer TOKENIZER = TinyTeacher.tokenizer();
  private static final Teacher TEACHER = TinyTeacher.of(TOKENIZER, null);
  private static final Trainer TRAINER =
      Trainer.with(
          Recipe.builder().optEpochs(12).optBatchSize(7).optLearningRate(2e-2).optSeed(3).build());

  @AfterAll
  static void close() {
    TOKENIZER.close();
  }

  private static FeedForwardStudent student(
      Table table, TokenPooling pooling, int buckets, int hidden) {
    return new FeedForwardStudent(
        table,
        24,
        pooling,
        buckets,
        8,
        hidden,
        Activation.GELU,
        Initialisation.XAVIER_UNIFORM,
        0.1);
  }

  @ParameterizedTest
  @CsvSource({
    "TEACHER_OUTPUT, MEAN, 0, 0",
    "TEACHER_OUTPUT, ATTENTION, 0, 12",
    "TEACHER_TABLE, MEAN, 64, 12",
    "RANDOM, ATTENTION, 64, 0"
  })
  void feedForwardStudentComesNearerToItsTeacherAndRunsInOnnxRuntime(
      Table table, TokenPooling pooling, int buckets, int hidden) {
    PretrainedModel start =
        student(table, pooling, buckets, hidden).build(TEACHER, TinyTeacher.texts(), 5);
    Distillation.Result result =
        Distillation.standard()
            .distil(TRAINER, TEACHER, start, TOKENIZER, TinyTeacher.texts(), null);
    List<Double> losses = result.training().epochs().stream().map(e -> e.meanLoss()).toList();
    assertThat(losses.get(losses.size() - 1)).isLessThan(losses.get(0) * 0.75);
    assertThat(result.model().checkpoint().labels()).isEqualTo(TinyTeacher.LABELS);
    Graph graph = result.model().graph();
    Map<String, Tensor> probe = ProbeInputs.of(graph);
    try (Program torch = TorchEngine.compile(graph, CompileOptions.evaluation());
        Program runtime = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(graph)) {
      assertThat(OutputDifference.largest(torch.run(probe), runtime.run(probe))).isLessThan(1e-5);
    }
  }

  @Test
  void onlyRowsOfTokensThatOccurTrain() {
    PretrainedModel start =
        student(Table.TEACHER_TABLE, TokenPooling.MEAN, 0, 0)
            .build(TEACHER, TinyTeacher.texts(), 5);
    Distillation.Result result =
        Distillation.standard()
            .distil(TRAINER, TEACHER, start, TOKENIZER, TinyTeacher.texts(), null);
    Tensor before = start.graph().initializer(FeedForwardStudent.EMBEDDINGS);
    Tensor after = result.model().graph().initializer(FeedForwardStudent.EMBEDDINGS);
    int size = Math.toIntExact(before.dim(1));
    Set<Long> seen = new java.util.TreeSet<>();
    TinyTeacher.texts().examples().stream()
        .flatMapToLong(row -> Arrays.stream(TOKENIZER.encode(row.text(), null).ids()))
        .forEach(seen::add);
    for (int token = 0; token < before.dim(0); token++) {
      boolean same =
          Arrays.equals(
              Arrays.copyOfRange(before.toFloats(), token * size, (token + 1) * size),
              Arrays.copyOfRange(after.toFloats(), token * size, (token + 1) * size));
      assertThat(same).as("token %d", token).isEqualTo(!seen.contains((long) token));
    }
  }

  @Test
  void allLayersGiveTheTeachersScoresAndFewerAreSmaller() {
    Dataset rows = TinyTeacher.texts();
    PretrainedModel all = LayerStudent.keeping(TEACHER, Set.of(0, 1));
    assertThat(new Teacher(all, TOKENIZER).scores(rows).get(SoftTargets.TEACHER).rows())
        .isDeepEqualTo(TEACHER.scores(rows).get(SoftTargets.TEACHER).rows());
    for (LayerChoice choice : LayerChoice.values()) {
      PretrainedModel one = new LayerStudent(1, choice, 0).build(TEACHER, rows, 0);
      assertThat(one.graph().parameterCount()).isLessThan(all.graph().parameterCount());
    }
  }

  @Test
  void shorterStudentComesNearerToItsTeacher() {
    PretrainedModel start = new LayerStudent(1).build(TEACHER, TinyTeacher.texts(), 0);
    Distillation.Result result =
        Distillation.standard()
            .comparing(InnerMatches.ofFeatures(1))
            .augmenting(Augmentation.standard(1))
            .distil(TRAINER, TEACHER, start, TOKENIZER, TinyTeacher.texts(), null);
    List<Double> losses = result.training().epochs().stream().map(e -> e.meanLoss()).toList();
    assertThat(losses.get(losses.size() - 1)).isLessThan(losses.get(0) * 0.75);
    assertThat(result.texts()).isGreaterThan(TinyTeacher.texts().size());
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void everythingInsideIsLearned(boolean byLora) {
    PretrainedModel start = new LayerStudent(1).build(TEACHER, TinyTeacher.texts(), 0);
    AdapterMethod method =
        byLora ? Lora.rank(4).on(Targets.named(List.of("query", "key", "value", "dense"))) : null;
    for (InnerMatches one :
        List.of(
            new InnerMatches(0, 5, 0, 0, 4, Distance.MSE),
            new InnerMatches(0, 0, 5, 0, 4, Distance.MSE),
            new InnerMatches(0, 0, 0, 5, 4, Distance.MSE))) {
      Distillation.Result result =
          new Distillation(SoftTargets.standard(), one, method, Augmentation.none())
              .distil(TRAINER, TEACHER, start, TOKENIZER, TinyTeacher.texts(), null);
      List<Double> losses = result.training().epochs().stream().map(e -> e.meanLoss()).toList();
      assertThat(losses.get(losses.size() - 1)).as("%s", one).isLessThan(losses.get(0) * 0.75);
      assertThat(result.model().graph().initializers().keySet())
          .isEqualTo(start.graph().initializers().keySet());
    }
  }

  @Test
  void featuresOfAnotherSizeAreProjected() {
    PretrainedModel start =
        student(Table.RANDOM, TokenPooling.MEAN, 0, 0).build(TEACHER, TinyTeacher.texts(), 5);
    Distillation.Result result =
        Distillation.standard()
            .comparing(InnerMatches.ofFeatures(5))
            .distil(TRAINER, TEACHER, start, TOKENIZER, TinyTeacher.texts(), null);
    List<Double> losses = result.training().epochs().stream().map(e -> e.meanLoss()).toList();
    assertThat(losses.get(losses.size() - 1)).isLessThan(losses.get(0) * 0.75);
    assertThat(result.model().graph().initializers().keySet())
        .isEqualTo(start.graph().initializers().keySet());
  }

  @Test
  void answersAreReadAgainFromTheFolder(@TempDir Path folder) throws Exception {
    Teacher teacher = TinyTeacher.of(TOKENIZER, folder);
    Answers first = teacher.scores(TinyTeacher.texts());
    Path file;
    try (var files = Files.list(folder)) {
      file = files.toList().get(0);
    }
    Map<String, Tensor> stored = io.peft4j.loaders.safetensors.SafeTensors.read(file).tensors();
    assertThat(stored.get(SoftTargets.TEACHER).dim(0)).isEqualTo(TinyTeacher.texts().size());
    var written = Files.getLastModifiedTime(file);
    Answers second = teacher.scores(TinyTeacher.texts());
    assertThat(Files.getLastModifiedTime(file)).isEqualTo(written);
    assertThat(second.get(SoftTargets.TEACHER).rows())
        .isDeepEqualTo(first.get(SoftTargets.TEACHER).rows());
    teacher.scores(new Dataset("fewer", TinyTeacher.texts().examples().subList(0, 3)));
    try (var files = Files.list(folder)) {
      assertThat(files).hasSize(2);
    }
  }

  @Test
  void labelThatTheTeacherDoesNotKnowIsAnError() {
    Dataset rows = new Dataset("rows.tsv", List.of(new Example("my card", null, "z", 2)));
    PretrainedModel start =
        student(Table.RANDOM, TokenPooling.MEAN, 0, 0).build(TEACHER, TinyTeacher.texts(), 5);
    assertThatThrownBy(
            () -> Distillation.standard().distil(TRAINER, TEACHER, start, TOKENIZER, rows, null))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("line 2")
        .hasMessageContaining("'z'");
  }
}
