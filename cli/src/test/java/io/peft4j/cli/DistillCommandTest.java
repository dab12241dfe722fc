package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.djl.inference.Predictor;
import ai.djl.modality.Classifications;
import ai.djl.repository.zoo.Criteria;
import ai.djl.repository.zoo.ZooModel;
import ai.djl.translate.DeferredTranslatorFactory;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.compress.distill.Teacher;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextTokenizer;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A tiny teacher, trained by the command, teaches students of every kind. */
class DistillCommandTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir static Path shared;
  @TempDir Path folder;
  private static Path model;
  private static Path rows;
  private Path recipe;
  private Path run;

  @BeforeAll
  static void trainTheTeacher() throws IOException {
    model = TinyModel.encoder(shared.resolve("model"));
    rows = TinyModel.rows(shared.resolve("rows.tsv"));
    Path training =
        Files.writeString(
            shared.resolve("train.yaml"),
            """
            model: %s
            output: %s
            adapter: {targets: [intermediate.dense, query]}
            data: {train: %s}
            training: {epochs: 12, batch_size: 4, learning_rate: 0.01, seed: 3}
            """
                .formatted(model, shared.resolve("trained"), rows));
    Cli cli = Cli.run("train", training);
    assertThat(cli.exit()).as(cli.err()).isZero();
  }

  @BeforeEach
  void writeRecipe() throws IOException {
    run = folder.resolve("run");
    recipe =
        Files.writeString(
            folder.resolve("distill.yaml"),
            """
            teacher: %s
            teacher_adapter: %s
            output: %s
            student:
              kind: layers
              layers: 1
            augmentation: {copies: 3}
            data: {train: %s, test: %s}
            training: {epochs: 10, batch_size: 8, learning_rate: 0.01, seed: 3}
            """
                .formatted(model, shared.resolve("trained/adapter"), run, rows, rows));
  }

  private void student(String lines) throws IOException {
    String text = Files.readString(recipe);
    Files.writeString(recipe, text.replace("  kind: layers\n  layers: 1\n", lines.indent(2)));
  }

  private static JsonNode json(Object... arguments) throws IOException {
    Cli cli = Cli.run(arguments);
    assertThat(cli.exit()).as(cli.err()).isZero();
    return JSON.readTree(cli.out());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "kind: layers\nlayers: 1\nchoice: importance\npruned: 0.3",
        "kind: feed-forward\nngram_buckets: 32",
        "kind: checkpoint\nmodel: MODEL"
      })
  void aStudentOfEachKindIsWrittenWholeAndServed(String lines) throws Exception {
    student(lines.replace("MODEL", model.toString()));
    JsonNode metrics = json("distill", recipe, "--json");
    assertThat(metrics).isEqualTo(JSON.readTree(run.resolve("metrics.json").toFile()));
    assertThat(metrics.at("/teacher/test/accuracy").asDouble()).isEqualTo(1);
    assertThat(metrics.at("/student/test/accuracy").asDouble()).isEqualTo(1);
    assertThat(metrics.at("/agreement").asDouble()).isEqualTo(1);
    assertThat(metrics.at("/texts").asInt()).isGreaterThan(8);
    assertThat(metrics.at("/student/bytes").asLong())
        .isEqualTo(Files.size(run.resolve("student.onnx")));
    try (Stream<Path> files = Files.list(run)) {
      assertThat(files.map(f -> f.getFileName().toString()))
          .containsExactlyInAnyOrder(
              "student.onnx",
              "tokenizer.json",
              "serving.properties",
              "config.json",
              "metrics.json",
              "recipe.yaml",
              "report.txt",
              "answers");
    }
    assertThat(Files.readString(run.resolve("serving.properties")))
        .contains("option.modelName=student");
    JsonNode judged =
        json(
            "evaluate",
            run.resolve("student.onnx"),
            "--data",
            rows,
            "--engine",
            "onnxruntime",
            "--json");
    assertThat(judged.at("/accuracy").asDouble()).isEqualTo(1);
    Criteria<String, Classifications> served =
        Criteria.builder()
            .setTypes(String.class, Classifications.class)
            .optModelPath(run)
            .optTranslatorFactory(new DeferredTranslatorFactory()) // as serving.properties says
            .build();
    try (ZooModel<String, Classifications> loaded = served.loadModel();
        Predictor<String, Classifications> predictor = loaded.newPredictor()) {
      assertThat(predictor.predict("the bill is too high").best().getClassName())
          .isEqualTo("money");
    }
  }

  @Test
  void theResolvedRecipeGivesTheSameStudentAndTheAnswersAreReused() throws IOException {
    json("distill", recipe, "--json");
    Path again = folder.resolve("again");
    long answers = count(run.resolve("answers"));
    json("distill", run.resolve("recipe.yaml"), "--set", "output=" + again, "--json");
    assertThat(again.resolve("student.onnx")).hasSameBinaryContentAs(run.resolve("student.onnx"));
    assertThat(count(run.resolve("answers"))).isEqualTo(answers);
    assertThat(again.resolve("answers")).doesNotExist();
  }

  private static long count(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.count();
    }
  }

  @Test
  void aFinishedRunStaysUnlessOverwriteSaysSo() throws IOException {
    json("distill", recipe, "--json");
    byte[] before = Files.readAllBytes(run.resolve("metrics.json"));
    assertThat(Cli.run("distill", recipe).lastLine()).contains("is there already");
    assertThat(Cli.run("distill", recipe, "--resume").lastLine()).contains("no state to resume");
    assertThat(Files.readAllBytes(run.resolve("metrics.json"))).isEqualTo(before);
    json("distill", recipe, "--overwrite", "--set", "training.epochs=1", "--json");
    assertThat(JSON.readTree(run.resolve("metrics.json").toFile()).at("/epochs")).hasSize(1);
  }

  @Test
  void aRunThatWasStoppedIsResumedToTheSameStudent() throws IOException {
    Path whole = folder.resolve("whole");
    json("distill", recipe, "--set", "output=" + whole, "--json");
    distilUntilStep(9);
    assertThat(Cli.run("distill", recipe).lastLine())
        .contains("holds an unfinished run; go on with --resume");
    json("distill", recipe, "--resume", "--json");
    assertThat(run.resolve("student.onnx")).hasSameBinaryContentAs(whole.resolve("student.onnx"));
    assertThat(run.resolve("state")).doesNotExist();
  }

  private void distilUntilStep(int last) {
    DistillRecipe stopped = DistillRecipe.read(recipe, List.of());
    TrainingListener stop =
        new TrainingListener() {
          @Override
          public void onStep(Step step) {
            if (step.step() == last) {
              throw new IllegalStateException("stopped");
            }
          }
        };
    PretrainedModel opened = Checkpoints.open(stopped.teacher());
    PretrainedModel merged = opened.load(shared.resolve("trained/adapter")).merge().model();
    try (TextTokenizer tokenizer = opened.tokenizer(stopped.training().maxLength())) {
      Teacher teacher = new Teacher(merged, tokenizer);
      Dataset data = DataFiles.read(rows, stopped.columns(), false);
      PretrainedModel student = stopped.student().build(teacher, data, stopped.training().seed());
      Trainer trainer =
          Trainer.with(stopped.training()).checkpointing(run.resolve("state"), 0).listening(stop);
      assertThatThrownBy(
              () ->
                  stopped
                      .distillation(data.size())
                      .distil(trainer, teacher, student, tokenizer, data, null))
          .hasMessage("stopped");
    }
  }

  @Test
  void rowsWithoutLabelsAreEnough() throws IOException {
    Path texts = folder.resolve("texts.tsv");
    Files.writeString(texts, Files.readString(rows).replaceAll("\t\\w+\n", "\t\n"));
    JsonNode metrics = json("distill", recipe, "--set", "data.train=" + texts, "--json");
    assertThat(metrics.at("/student/test/accuracy").asDouble()).isEqualTo(1);
    Cli hard =
        Cli.run(
            "distill",
            recipe,
            "--overwrite",
            "--set",
            "data.train=" + texts,
            "--set",
            "loss.alpha=0.5");
    hard.assertFailed(1);
    assertThat(hard.lastLine()).contains("has no labels, but loss.alpha is 0.5");
  }

  @Test
  void anAdapterOnTheStudentTrainsInItsStead() throws IOException {
    Files.writeString(
        recipe,
        Files.readString(recipe)
            + "adapter: {rank: 4, targets: [query, intermediate.dense, classifier]}\n");
    JsonNode metrics = json("distill", recipe, "--json");
    assertThat(metrics.at("/epochs/9/meanLoss").asDouble())
        .isLessThan(0.75 * metrics.at("/epochs/0/meanLoss").asDouble());
    assertThat(Files.readString(run.resolve("recipe.yaml"))).contains("rank: 4");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "student.hidden=8 | student.hidden does not go with student.kind layers",
        "student.kind=tree | student.kind must be one of layers, feed-forward, checkpoint",
        "student.layers=0 | layers must be at least 1, was 0",
        "loss.temperature=0 | temperature must be a positive number",
        "augmentation.kinds=rhyme | augmentation.kinds must be of drop",
        "augmentation.share=2 | share must be from 0 to below 1",
        "training.patience=-1 | patience must be at least 0"
      })
  void settingsThatAreWrongByThemselvesAreWrongUsage(String setting, String message) {
    Cli cli = Cli.run("distill", recipe, "--set", setting);
    cli.assertFailed(2);
    assertThat(cli.lastLine()).contains(setting).contains(message);
    assertThat(run).doesNotExist();
  }

  @Test
  void aWrongValueInTheRecipeNamesItsLine() throws IOException {
    student("kind: layers\nlayers: 1\nhidden: 3");
    Cli cli = Cli.run("distill", recipe);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("distill.yaml, line 7: student.hidden does not go with");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "student.layers=9 | the teacher has 2 layers; a student cannot keep 9",
        "teacher_adapter= | does not say which labels it scores",
        "data.unlabelled=nowhere.tsv | does not exist"
      })
  void whatDoesNotFitTheFilesIsToldBeforeAnythingIsWritten(String setting, String message) {
    Cli cli = Cli.run("distill", recipe, "--set", setting);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains(message);
    assertThat(run.resolve("student.onnx")).doesNotExist();
  }
}
