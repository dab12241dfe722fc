package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A tiny encoder trained, judged, merged and exported, all by the command. */
class TrainCommandTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;
  private Path model;
  private Path rows;
  private Path recipe;
  private Path run;

  @BeforeEach
  void writeRecipe() throws IOException {
    model = TinyModel.encoder(folder.resolve("model"));
    rows = TinyModel.rows(folder.resolve("rows.tsv"));
    run = folder.resolve("runs/first");
    recipe =
        Files.writeString(
            folder.resolve("recipe.yaml"),
            """
            model: %s
            output: %s
            adapter: {method: lora, rank: 4, dropout: 0.1, targets: [intermediate.dense, query]}
            data: {train: %s, validation: %s, test: %s}
            training: {epochs: 12, batch_size: 4, learning_rate: 0.01, seed: 3}
            """
                .formatted(model, run, rows, rows, rows));
  }

  @Test
  void theRunFolderHoldsAdapterMetricsReportAndRecipe() throws IOException {
    Cli cli = Cli.run("train", recipe, "--json");
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(cli.err()).isEmpty();
    JsonNode metrics = JSON.readTree(cli.out());
    assertThat(metrics).isEqualTo(JSON.readTree(run.resolve("metrics.json").toFile()));
    assertThat(metrics.at("/epochs")).hasSize(12);
    assertThat(metrics.at("/steps").asInt()).isEqualTo(24);
    assertThat(metrics.at("/test/accuracy").asDouble()).isEqualTo(1);
    assertThat(metrics.at("/epochs/11/meanLoss").asDouble())
        .isLessThan(0.75 * metrics.at("/epochs/0/meanLoss").asDouble());
    try (Stream<Path> files = Files.list(run)) {
      assertThat(files.map(f -> f.getFileName().toString()))
          .containsExactlyInAnyOrder("adapter", "metrics.json", "recipe.yaml", "report.txt");
    }
    JsonNode resolved =
        new ObjectMapper(new YAMLFactory()).readTree(run.resolve("recipe.yaml").toFile());
    assertThat(resolved.at("/adapter/alpha").asDouble()).isEqualTo(8);
    assertThat(resolved.at("/training/epochs").asInt()).isEqualTo(12);
  }

  @Test
  void theResolvedRecipeTrainsTheSameAdapter() throws IOException {
    assertThat(Cli.run("train", recipe).exit()).isZero();
    Path again = folder.resolve("runs/again");
    Cli cli = Cli.run("train", run.resolve("recipe.yaml"), "--set", "output=" + again);
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertSameTensors(again.resolve("adapter"), run.resolve("adapter"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "method: freeze-mask, selections: [norm, bias]",
        "method: freeze-mask, selections: [all], gradual_unfreezing: 0.5",
        "method: element-mask, share: 0.05"
      })
  void aFreezeMaskTrainsAndLoadsLikeAnyAdapter(String adapter) throws IOException {
    String lora = Files.readString(recipe);
    Files.writeString(recipe, lora.replaceFirst("adapter: .*", "adapter: {" + adapter + "}"));
    Cli cli = Cli.run("train", recipe);
    assertThat(cli.exit()).as(cli.err()).isZero();
    JsonNode judged = json("evaluate", model, "--adapter", run.resolve("adapter"), "--data", rows);
    assertThat(judged.at("/accuracy").asDouble()).isEqualTo(1);
  }

  @Test
  void aFinishedRunIsNeitherOverwrittenNorResumed() throws IOException {
    assertThat(Cli.run("train", recipe).exit()).isZero();
    byte[] before = Files.readAllBytes(run.resolve("metrics.json"));
    assertThat(Cli.run("train", recipe).lastLine()).contains("is there already");
    assertThat(Cli.run("train", recipe, "--resume").lastLine()).contains("no state to resume");
    assertThat(Files.readAllBytes(run.resolve("metrics.json"))).isEqualTo(before);
  }

  @Test
  void aRunThatWasStoppedIsResumedToTheSameAdapter() throws IOException {
    Path whole = folder.resolve("runs/whole");
    assertThat(Cli.run("train", recipe, "--set", "output=" + whole).exit()).isZero();
    trainUntilStep(7);
    Cli anew = Cli.run("train", recipe);
    assertThat(anew.exit()).isEqualTo(1);
    assertThat(anew.lastLine()).contains("holds an unfinished run; go on with --resume");
    Cli resumed = Cli.run("train", recipe, "--resume");
    assertThat(resumed.exit()).as(resumed.err()).isZero();
    assertSameTensors(run.resolve("adapter"), whole.resolve("adapter"));
    assertThat(run.resolve("state")).doesNotExist();
  }

  @Test
  void anUnfinishedRunStaysUntilTheOneInItsPlaceGetsAnywhere() throws IOException {
    trainUntilStep(2);
    Path wrong = Files.writeString(folder.resolve("dev.tsv"), "text\tlabel\nthe cup\tgifts\n");
    Cli failed = Cli.run("train", recipe, "--overwrite", "--set", "data.validation=" + wrong);
    failed.assertFailed(1);
    assertThat(run.resolve("state")).isNotEmptyDirectory();
    Cli cli = Cli.run("train", recipe, "--overwrite", "--set", "training.epochs=1");
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(run.resolve("metrics.json")).exists();
    assertThat(run.resolve("state")).doesNotExist();
  }

  @Test
  void aRunKilledBeforeItsFirstStateIsStartedAnew() throws IOException {
    Files.createDirectories(run.resolve("state/.step-000000002.1f.part"));
    Cli resumed = Cli.run("train", recipe, "--resume");
    assertThat(resumed.lastLine()).contains("no state to resume from; leave out --resume");
    Cli cli = Cli.run("train", recipe, "--set", "training.epochs=1");
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(run.resolve("state")).doesNotExist();
  }

  private void trainUntilStep(int last) {
    TrainRecipe stopped = TrainRecipe.read(recipe, List.of());
    TrainingListener stop =
        new TrainingListener() {
          @Override
          public void onStep(Step step) {
            if (step.step() == last) {
              throw new IllegalStateException("the power failed");
            }
          }
        };
    Dataset data = DataFiles.read(rows, stopped.columns(), true);
    AdaptedModel adapted =
        Checkpoints.open(model).attach(stopped.method(), stopped.training().seed());
    Trainer trainer =
        Trainer.with(stopped.training()).listening(stop).checkpointing(run.resolve("state"), 0);
    assertThatThrownBy(() -> trainer.fit(adapted, data, data)).hasMessage("the power failed");
  }

  @Test
  void anEarlierRunIsReplacedWhenThatIsWanted() throws IOException {
    assertThat(Cli.run("train", recipe).exit()).isZero();
    Path note = Files.writeString(run.resolve("note.txt"), "mine");
    Cli cli = Cli.run("train", recipe, "--overwrite", "--set", "training.epochs=1");
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(JSON.readTree(run.resolve("metrics.json").toFile()).at("/epochs")).hasSize(1);
    assertThat(Files.readString(run.resolve("recipe.yaml"))).contains("epochs: 1\n");
    assertThat(note).exists();
    assertThat(run.resolve("state")).doesNotExist();
  }

  @Test
  void onlyARunIsOverwritten() throws IOException {
    Files.createDirectories(run);
    Path diary = Files.writeString(run.resolve("diary.txt"), "dear diary");
    Cli cli = Cli.run("train", recipe, "--overwrite");
    assertThat(cli.exit()).isEqualTo(1);
    assertThat(cli.lastLine()).contains("is no earlier result");
    try (Stream<Path> files = Files.list(run)) {
      assertThat(files).containsExactly(diary);
    }
  }

  @Test
  void judgingPredictingMergingAndExportingAgree() throws IOException {
    assertThat(Cli.run("train", recipe).exit()).isZero();
    Path adapter = run.resolve("adapter");
    JsonNode judged = json("evaluate", model, "--adapter", adapter, "--data", rows);
    assertThat(judged.at("/examples").asInt()).isEqualTo(8);
    assertThat(judged.at("/accuracy").asDouble()).isEqualTo(1);

    JsonNode predicted = json("predict", model, "--adapter", adapter, "--data", rows);
    assertThat(predicted.findValuesAsText("label"))
        .isEqualTo(
            List.of(
                "delivery",
                "delivery",
                "delivery",
                "delivery",
                "money",
                "money",
                "money",
                "money"));

    String unlabelled = Files.readString(rows).replaceAll("\t.*", "");
    Path texts = Files.writeString(folder.resolve("texts.tsv"), unlabelled);
    assertThat(json("predict", model, "--adapter", adapter, "--data", texts)).isEqualTo(predicted);

    Path exported = Files.createDirectory(folder.resolve("exported")).resolve("model.onnx");
    JsonNode export =
        json("export", model, "--adapter", adapter, "--format", "onnx", "--output", exported);
    assertThat(export.at("/maxOutputDifference").asDouble()).isLessThan(1e-4);
    JsonNode elsewhere = json("evaluate", exported, "--data", rows, "--engine", "onnxruntime");
    assertThat(elsewhere.at("/loss").asDouble())
        .isCloseTo(judged.at("/loss").asDouble(), within(1e-4));

    Path other = Files.createDirectory(folder.resolve("other"));
    Path kept = Files.writeString(other.resolve("tokenizer.json"), "another model's");
    json("export", exported, "--format", "onnx", "--output", other.resolve("model.onnx"));
    assertThat(kept).hasContent("another model's");

    Cli merge = Cli.run("merge", model, "--adapter", adapter, "--output", folder.resolve("merged"));
    assertThat(merge.exit()).isEqualTo(1);
    assertThat(merge.lastLine()).contains("write it as ONNX");
    assertThat(folder.resolve("merged")).doesNotExist();
  }

  @Test
  void mergedFoldersAreReadLikeAnyOther() {
    Path base = TinyModel.METHODS.resolve("base-bert");
    Path adapter = TinyModel.METHODS.resolve("peft/lora-ffn");
    Path merged = folder.resolve("merged");
    JsonNode result = json("merge", base, "--adapter", adapter, "--output", merged);
    assertThat(result.at("/maxOutputDifference").asDouble()).isLessThan(1e-5);
    Map<String, Tensor> golden = TinyModel.tensors(adapter.resolve("io.safetensors"));
    Path inputs = folder.resolve("in.safetensors");
    SafeTensors.write(
        inputs,
        Map.of(
            "input_ids", golden.get("input_ids"),
            "attention_mask", golden.get("attention_mask"),
            "token_type_ids", golden.get("token_type_ids")),
        Map.of());
    Path output = folder.resolve("out.safetensors");
    json("run", merged, "--inputs", inputs, "--output", output);
    float[] actual = TinyModel.tensors(output).get("logits").toFloats();
    float[] expected = golden.get("logits_merged").toFloats();
    assertThat(actual).containsExactly(expected, within(1e-5f));
  }

  private static JsonNode json(Object... arguments) {
    Object[] all = java.util.Arrays.copyOf(arguments, arguments.length + 1);
    all[arguments.length] = "--json";
    Cli cli = Cli.run(all);
    assertThat(cli.exit()).as(cli.err()).isZero();
    try {
      return JSON.readTree(cli.out());
    } catch (IOException e) {
      throw new AssertionError(cli.out(), e);
    }
  }

  private static void assertSameTensors(Path left, Path right) throws IOException {
    for (String file : List.of("adapter_model.safetensors", "head.safetensors")) {
      assertThat(Files.readAllBytes(left.resolve(file)))
          .isEqualTo(Files.readAllBytes(right.resolve(file)));
    }
  }
}
