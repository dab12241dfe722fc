package io.peft4j.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.RecipeException;
import io.peft4j.data.BatchSource;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.engine.Program;
import io.peft4j.format.AtomicWrite;
import io.peft4j.task.Metrics;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Evaluation;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import io.peft4j.train.TrainingResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code peft4j train}. */
@Command(name = "train", description = "Fine-tune an adapter as a recipe says.")
final class TrainCommand extends Subcommand {
  private static final String ADAPTER = "adapter";
  private static final String METRICS = "metrics.json";
  private static final String RECIPE = "recipe.yaml";

  @Parameters(paramLabel = "RECIPE.yaml", description = "What to train, on what, and how.")
  private Path recipeFile = Path.of("");

  @Option(
      names = "--set",
      paramLabel = "key=value",
      description = "Takes the place of a key of the recipe, for example training.epochs=3.")
  private List<String> settings = new ArrayList<>();

  @Option(names = "--resume", description = "Go on where an earlier run was stopped.")
  private boolean resume;

  @Option(
      names = "--overwrite",
      description = "Put this run in the place of an earlier one in the same folder.")
  private boolean overwrite;

  @Override
  protected void execute() throws IOException {
    checkArguments();
    TrainRecipe recipe = TrainRecipe.read(recipeFile, settings);
    RunFolder folder = new RunFolder(recipe.output(), List.of(ADAPTER, RECIPE, METRICS), List.of());
    folder.require(resume, overwrite);
    Path state = folder.state();
    Dataset train = DataFiles.read(recipe.train(), recipe.columns(), true);
    Dataset validation = optional(recipe.validation(), recipe);
    Dataset test = optional(recipe.test(), recipe);
    AdaptedModel model =
        Checkpoints.open(recipe.model()).attach(recipe.method(), recipe.training().seed());
    NamedModules.require(recipe.method(), model.adapter());
    recipe.method().notes().forEach(note -> err().println("peft4j: note: " + note));
    if (test != null) {
      List<String> trained = train.labels();
      test.labelIds(model.labels().containsAll(trained) ? model.labels() : trained);
    }
    Trainer trainer = Trainer.with(recipe.training());
    trainer =
        resume
            ? trainer.resuming(state, recipe.stateSteps())
            : trainer.checkpointing(state, recipe.stateSteps());
    TrainingResult result = fit(trainer, model, train, validation);
    Metrics tested = test == null ? null : judge(model, test, recipe.training().maxLength());
    TrainMetrics metrics = TrainMetrics.of(result, tested, model.graph());
    write(recipe, model, metrics);
    MoreFiles.deleteRecursively(state, RecursiveDeleteOption.ALLOW_INSECURE);
    print(metrics, metrics.text() + recipe.output() + " written");
  }

  private TrainingResult fit(
      Trainer trainer, AdaptedModel model, Dataset train, @Nullable Dataset validation) {
    try (TrainingProgress bar = new TrainingProgress(err())) {
      TrainingListener listener = interactive() ? bar : TrainingListener.NONE;
      return trainer.listening(listener).fit(model, train, validation);
    }
  }

  private void checkArguments() {
    if (resume && overwrite) {
      throw wrongUsage("--resume and --overwrite contradict each other");
    }
    try {
      TrainRecipe.check(settings);
    } catch (RecipeException e) {
      throw wrongUsage(String.valueOf(e.getMessage()));
    }
  }

  private static @Nullable Dataset optional(@Nullable Path file, TrainRecipe recipe) {
    return file == null ? null : DataFiles.read(file, recipe.columns(), true);
  }

  private static Metrics judge(AdaptedModel model, Dataset rows, int maxLength) {
    try (TextTokenizer tokenizer = model.base().tokenizer(maxLength);
        Program program = EngineName.PYTORCH.compile(model.graph())) {
      BatchSource batches =
          new TextBatches(rows, rows.labelIds(model.labels()), tokenizer, program.inputNames());
      float[][] scores = Evaluation.scores(program, batches, PooledHead.LOGITS);
      return Evaluation.metrics(scores, batches);
    }
  }

  /** The metrics come last: where they are, the run is complete. */
  private static void write(TrainRecipe recipe, AdaptedModel model, TrainMetrics metrics)
      throws IOException {
    ObjectMapper json = new ObjectMapper();
    Path output = recipe.output();
    Files.deleteIfExists(output.resolve(METRICS)); // those of a run that is overwritten
    model.save(output.resolve(ADAPTER));
    AtomicWrite.file(
        output.resolve(RECIPE),
        file -> new ObjectMapper(new YAMLFactory()).writeValue(file.toFile(), recipe.resolved()));
    AtomicWrite.file(output.resolve("report.txt"), file -> Files.writeString(file, metrics.text()));
    AtomicWrite.file(
        output.resolve(METRICS),
        file -> json.writerWithDefaultPrettyPrinter().writeValue(file.toFile(), metrics));
  }
}
