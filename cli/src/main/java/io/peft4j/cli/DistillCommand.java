package io.peft4j.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.compress.distill.Distillation;
import io.peft4j.compress.distill.Teacher;
import io.peft4j.compress.export.ServingFiles;
import io.peft4j.compress.export.VerifiedExport;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.data.TextTokenizers;
import io.peft4j.engine.Program;
import io.peft4j.format.AtomicWrite;
import io.peft4j.graph.Graph;
import io.peft4j.task.Metrics;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Evaluation;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code peft4j distill}. */
@Command(
    name = "distill",
    description = "Train a small student on what a teacher says, as a recipe says.")
final class DistillCommand extends Subcommand {
  private static final String STUDENT = "student";
  private static final String MODEL = STUDENT + ".onnx";
  private static final String METRICS = "metrics.json";
  private static final String RECIPE = "recipe.yaml";
  private static final double TOLERANCE = 1e-4;

  @Parameters(paramLabel = "RECIPE.yaml", description = "Who teaches whom, on what, and how.")
  private Path recipeFile = Path.of("");

  @Option(
      names = "--set",
      paramLabel = "key=value",
      description = "Takes the place of a key of the recipe, for example student.layers=2.")
  private List<String> settings = new ArrayList<>();

  @Option(names = "--resume", description = "Go on where an earlier run was stopped.")
  private boolean resume;

  @Option(
      names = "--overwrite",
      description = "Put this run in the place of an earlier one in the same folder.")
  private boolean overwrite;

  /** All data of a run; what was not given is null. */
  private record Data(Dataset train, @Nullable Dataset validation, @Nullable Dataset test) {}

  @Override
  protected void execute() throws IOException {
    long start = System.nanoTime();
    checkArguments();
    DistillRecipe recipe = DistillRecipe.read(recipeFile, settings);
    RunFolder folder =
        new RunFolder(
            recipe.output(), List.of(MODEL, RECIPE, METRICS), List.of(DistillRecipe.ANSWERS));
    folder.require(resume, overwrite);
    PretrainedModel teacherModel = teacher(recipe);
    Data data = data(recipe, teacherModel.checkpoint().labels());
    int maxLength = recipe.training().maxLength();
    try (TextTokenizer theirs =
        TextTokenizers.open(TextTokenizers.file(recipe.teacher()), maxLength)) {
      Teacher teacher = new Teacher(teacherModel, theirs, recipe.answers());
      PretrainedModel untrained =
          recipe.student().build(teacher, data.train(), recipe.training().seed());
      Path tokenizer = TextTokenizers.file(untrained.checkpoint().source());
      try (TextTokenizer own = TextTokenizers.open(tokenizer, maxLength)) {
        Distillation.Result result = distil(recipe, folder, teacher, untrained, own, data);
        write(recipe, result, teacher, own, tokenizer, data, start);
      }
    }
    MoreFiles.deleteRecursively(folder.state(), RecursiveDeleteOption.ALLOW_INSECURE);
  }

  private void checkArguments() {
    if (resume && overwrite) {
      throw wrongUsage("--resume and --overwrite contradict each other");
    }
    try {
      DistillRecipe.check(settings);
    } catch (RecipeException e) {
      throw wrongUsage(String.valueOf(e.getMessage()));
    }
  }

  private static PretrainedModel teacher(DistillRecipe recipe) {
    PretrainedModel opened = Checkpoints.open(recipe.teacher());
    Path adapter = recipe.teacherAdapter();
    PretrainedModel teacher = adapter == null ? opened : opened.load(adapter).merge().model();
    if (teacher.checkpoint().labels().isEmpty()) {
      throw new PeftException(
          "teacher %s does not say which labels it scores; give a classifier that peft4j wrote, or teacher_adapter with the adapter that it was trained with"
              .formatted(recipe.teacher()));
    }
    return teacher;
  }

  private static Data data(DistillRecipe recipe, List<String> labels) {
    Dataset train = DataFiles.read(recipe.train(), recipe.columns(), false);
    boolean anyLabel =
        train.examples().stream().anyMatch(row -> row.label() != null && !row.label().isBlank());
    if (!anyLabel && recipe.distillation().targets().alpha() > 0) {
      throw new PeftException(
          "data file %s has no labels, but loss.alpha is %s; set it to 0, or give labels"
              .formatted(recipe.train(), recipe.distillation().targets().alpha()));
    }
    Path unlabelled = recipe.unlabelled();
    if (unlabelled != null) {
      List<Example> all = new ArrayList<>(train.examples());
      DataFiles.read(unlabelled, recipe.columns(), false)
          .examples()
          .forEach(row -> all.add(new Example(row.text(), row.second(), null, row.line())));
      train = new Dataset(train.name(), all);
    }
    Dataset validation = labelled(recipe.validation(), recipe, labels);
    return new Data(train, validation, labelled(recipe.test(), recipe, labels));
  }

  private static @Nullable Dataset labelled(
      @Nullable Path file, DistillRecipe recipe, List<String> labels) {
    if (file == null) {
      return null;
    }
    Dataset rows = DataFiles.read(file, recipe.columns(), true);
    rows.labelIds(labels); // before the work, an unknown label is told
    return rows;
  }

  private Distillation.Result distil(
      DistillRecipe recipe,
      RunFolder folder,
      Teacher teacher,
      PretrainedModel student,
      TextTokenizer tokenizer,
      Data data) {
    Trainer trainer = Trainer.with(recipe.training());
    trainer =
        resume
            ? trainer.resuming(folder.state(), recipe.stateSteps())
            : trainer.checkpointing(folder.state(), recipe.stateSteps());
    try (TrainingProgress bar = new TrainingProgress(err())) {
      return recipe
          .distillation(data.train().size())
          .distil(
              trainer.listening(interactive() ? bar : TrainingListener.NONE),
              teacher,
              student,
              tokenizer,
              data.train(),
              data.validation());
    }
  }

  /** The metrics come last: where they are, the run is complete. */
  private void write(
      DistillRecipe recipe,
      Distillation.Result result,
      Teacher teacher,
      TextTokenizer own,
      Path tokenizer,
      Data data,
      long start)
      throws IOException {
    ObjectMapper json = new ObjectMapper();
    Path output = recipe.output();
    Files.createDirectories(output);
    Files.deleteIfExists(output.resolve(METRICS)); // those of a run that is overwritten
    Graph graph = result.model().graph();
    double difference = VerifiedExport.onnx(result.model(), output.resolve(MODEL), TOLERANCE);
    ServingFiles.textClassification(
        output, STUDENT, graph, teacher.labels(), tokenizer, recipe.training().maxLength());
    DistillMetrics metrics =
        metrics(result, teacher, own, data, output.resolve(MODEL), difference, start);
    AtomicWrite.file(
        output.resolve(RECIPE),
        file -> new ObjectMapper(new YAMLFactory()).writeValue(file.toFile(), recipe.resolved()));
    AtomicWrite.file(output.resolve("report.txt"), file -> Files.writeString(file, metrics.text()));
    AtomicWrite.file(
        output.resolve(METRICS),
        file -> json.writerWithDefaultPrettyPrinter().writeValue(file.toFile(), metrics));
    print(metrics, metrics.text() + output + " written");
  }

  private static DistillMetrics metrics(
      Distillation.Result result,
      Teacher teacher,
      TextTokenizer own,
      Data data,
      Path file,
      double difference,
      long start)
      throws IOException {
    Graph graph = result.model().graph();
    Graph theirs = teacher.model().graph();
    Dataset texts = data.test() == null ? data.train() : data.test();
    List<ServingSpeed> speeds =
        ServingSpeed.measure(
            List.of(
                new ServingSpeed.Served(theirs, teacher.tokenizer()),
                new ServingSpeed.Served(graph, own)),
            texts);
    Metrics taught = null;
    Metrics learned = null;
    Double agreement = null;
    if (data.test() != null) {
      long[] labels = data.test().labelIds(teacher.labels());
      long[] said = classes(theirs, data.test(), teacher.tokenizer());
      long[] repeated = classes(graph, data.test(), own);
      taught = Metrics.of(said, labels, teacher.labels().size());
      learned = Metrics.of(repeated, labels, teacher.labels().size());
      agreement = Metrics.of(repeated, said, teacher.labels().size()).accuracy();
    }
    ServingSpeed before = speeds.get(0);
    ServingSpeed after = speeds.get(1);
    long teacherBytes =
        theirs.initializers().values().stream().mapToLong(tensor -> tensor.byteSize()).sum();
    return new DistillMetrics(
        new DistillMetrics.Side(taught, theirs.parameterCount(), teacherBytes, before),
        new DistillMetrics.Side(learned, graph.parameterCount(), Files.size(file), after),
        agreement,
        taught == null || learned == null ? null : learned.accuracy() / taught.accuracy(),
        after.latencyMs() / before.latencyMs(),
        after.textsPerSecondWithTokenizing() / before.textsPerSecondWithTokenizing(),
        result.texts(),
        result.training().epochs().stream()
            .map(e -> new TrainMetrics.EpochMetrics(e.meanLoss(), e.validation()))
            .toList(),
        result.training().bestEpoch() + 1,
        difference,
        result.training().seconds(),
        (System.nanoTime() - start) / 1e9);
  }

  /** The classes that ONNX Runtime gives. */
  private static long[] classes(Graph graph, Dataset rows, TextTokenizer tokenizer) {
    try (Program program = EngineName.ONNXRUNTIME.compile(graph)) {
      TextBatches batches = new TextBatches(rows, new long[0], tokenizer, program.inputNames());
      return Evaluation.classes(Evaluation.scores(program, batches, PooledHead.LOGITS));
    }
  }
}
