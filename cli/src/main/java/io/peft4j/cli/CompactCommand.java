package io.peft4j.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.compress.chain.CompactResult;
import io.peft4j.compress.chain.Compaction;
import io.peft4j.compress.chain.StageFiles;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.data.TextTokenizer;
import io.peft4j.data.TextTokenizers;
import io.peft4j.format.AtomicWrite;
import io.peft4j.train.Recipe;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code peft4j compact}. */
@Command(
    name = "compact",
    description =
        "Fine-tune an adapter and make the result small, stage by stage, as a recipe says; measure"
            + " every stage.")
final class CompactCommand extends Subcommand {
  @Parameters(
      paramLabel = "RECIPE.yaml",
      description =
          "A recipe as of 'train', with test data, and perhaps stages, prune, student,"
              + " feed_forward.")
  private Path recipeFile = Path.of("");

  @Option(
      names = "--set",
      paramLabel = "key=value",
      description = "Takes the place of a key of the recipe, for example student.layers=2.")
  private List<String> settings = new ArrayList<>();

  @Option(names = "--overwrite", description = "Put the result in the place of an earlier one.")
  private boolean overwrite;

  @Override
  protected void execute() {
    CompactRecipe recipe = CompactRecipe.read(recipeFile, settings);
    TrainRecipe job = recipe.training();
    if (overwrite) {
      Outputs.requireReplaceable(job.output(), List.of("compare.json", "adapter", "recipe.yaml"));
    } else {
      Outputs.requireEmpty(job.output());
    }
    Dataset train = DataFiles.read(job.train(), job.columns(), true);
    Dataset validation = read(job.validation(), job);
    Dataset test = Objects.requireNonNull(read(job.test(), job)); // the recipe has it
    PretrainedModel base = Checkpoints.open(job.model());
    AdaptedModel adapted = base.attach(job.method(), job.training().seed());
    List<String> known = base.hasLogits() ? base.checkpoint().labels() : train.labels();
    if (!known.isEmpty()) {
      test.labelIds(known);
    }
    CompactResult[] result = new CompactResult[1];
    try (TrainingProgress bar = new TrainingProgress(err())) {
      TrainingListener listener = interactive() ? bar : TrainingListener.NONE;
      tell("training " + job.method().name());
      Trainer.with(job.training()).listening(listener).fit(adapted, train, validation);
      AtomicWrite.folder(
          job.output(),
          folder -> {
            adapted.save(folder.resolve("adapter"));
            result[0] = compact(recipe, adapted, train, validation, test, listener, folder);
            new ObjectMapper(new YAMLFactory())
                .writeValue(folder.resolve("recipe.yaml").toFile(), recipe.resolved());
            Files.writeString(folder.resolve("report.txt"), result[0].text());
          });
    }
    print(result[0].rows(), result[0].text() + job.output() + " written");
  }

  private CompactResult compact(
      CompactRecipe recipe,
      AdaptedModel adapted,
      Dataset train,
      @Nullable Dataset validation,
      Dataset test,
      TrainingListener listener,
      Path folder)
      throws java.io.IOException {
    PretrainedModel merged = adapted.merge().model();
    Recipe training = recipe.training().training();
    Path tokenizerFile = TextTokenizers.file(recipe.training().model());
    try (TextTokenizer tokenizer = TextTokenizers.open(tokenizerFile, training.maxLength())) {
      List<Compaction.Stage> stages =
          recipe.compaction().run(merged, tokenizer, train, validation, this::tell, listener);
      tell("measuring each form");
      return StageFiles.write(folder, stages, tokenizerFile, test, training.maxLength(), l -> {});
    }
  }

  private void tell(String line) {
    if (!json()) {
      err().println(line);
    }
  }

  private static @Nullable Dataset read(@Nullable Path file, TrainRecipe job) {
    return file == null ? null : DataFiles.read(file, job.columns(), true);
  }
}
