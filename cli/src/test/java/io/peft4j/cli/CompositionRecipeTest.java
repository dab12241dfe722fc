package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import io.peft4j.graph.Tensor;
import io.peft4j.train.Trainer;
import io.peft4j.train.TrainingListener;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Adapters that were trained apart, composed by a recipe: fused, or with a new one on top. */
class CompositionRecipeTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir static Path shared;
  private static Path model;
  private static Path rows;

  @TempDir Path folder;

  @BeforeAll
  static void trainMembers() throws IOException {
    model = TinyModel.encoder(shared.resolve("model"));
    rows = TinyModel.rows(shared.resolve("rows.tsv"));
    train(shared, "a", "method: pfeiffer, reduction_factor: 4", 3);
    train(shared, "b", "method: seq_bn_inv, reduction_factor: 8", 5);
    train(shared, "lora", "method: lora, rank: 2", 3);
    train(shared, "houlsby", "method: houlsby, reduction_factor: 8", 3);
    train(shared, "par", "method: par_bn, reduction_factor: 8", 3);
  }

  private static Path adapter(String run) {
    return shared.resolve(run).resolve("adapter");
  }

  private static Path recipe(Path folder, String run, String adapter, int seed) throws IOException {
    return Files.writeString(
        folder.resolve(run + ".yaml"),
        """
        model: %s
        output: %s
        adapter: {%s}
        data: {train: %s, validation: %s, test: %s}
        training: {epochs: 3, batch_size: 4, learning_rate: 0.02, seed: %d}
        head: {dropout: 0.1}
        """
            .formatted(model, folder.resolve(run), adapter, rows, rows, rows, seed));
  }

  private static Cli train(Path folder, String run, String adapter, int seed) throws IOException {
    Cli cli = Cli.run("train", recipe(folder, run, adapter, seed), "--json");
    assertThat(cli.exit()).as(cli.err()).isZero();
    return cli;
  }

  private static String fusion(String more) {
    return "method: fusion, adapters: [%s, %s]%s".formatted(adapter("a"), adapter("b"), more);
  }

  @Test
  void aFusionIsExportedUnmergedAndInspected() throws IOException {
    train(folder, "fused", fusion(""), 7);
    Path saved = folder.resolve("fused/adapter");
    Path export = folder.resolve("fused.onnx");
    Cli merged =
        Cli.run("export", model, "--adapter", saved, "--format", "onnx", "--output", export);
    merged.assertFailed(1);
    assertThat(merged.lastLine()).contains("or export it unmerged");
    Cli cli =
        Cli.run(
            "export",
            model,
            "--adapter",
            saved,
            "--format",
            "onnx",
            "--output",
            export,
            "--unmerged");
    assertThat(cli.exit()).as(cli.err()).isZero();
    Cli before = Cli.run("evaluate", model, "--adapter", saved, "--data", rows, "--json");
    Cli after = Cli.run("evaluate", export, "--data", rows, "--json");
    assertThat(JSON.readTree(after.out()).at("/accuracy"))
        .isEqualTo(JSON.readTree(before.out()).at("/accuracy"));
    JsonNode report = JSON.readTree(Cli.run("adapter", "inspect", saved, "--json").out());
    assertThat(report.at("/method").asText()).isEqualTo("fusion");
    assertThat(report.at("/labels")).hasSize(2);
    long parameters =
        tensors(saved).entrySet().stream()
            .filter(entry -> !entry.getKey().contains("head.safetensors"))
            .mapToLong(entry -> entry.getValue().size())
            .sum();
    assertThat(report.at("/parameters").asLong()).isEqualTo(parameters);
    Cli.run("export", model, "--format", "onnx", "--output", folder.resolve("x.onnx"), "--unmerged")
        .assertFailed(2);
  }

  private static String stack(String more) {
    return "method: stack, adapters: [%s], reduction_factor: 4, dropout: 0.1%s"
        .formatted(adapter("a"), more);
  }

  /** The tensors of every file of an adapter's folder, by path and key. */
  private static Map<String, Tensor> tensors(Path folder) {
    Map<String, Tensor> tensors = new TreeMap<>();
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".safetensors")).toList()) {
        TinyModel.tensors(file)
            .forEach((key, tensor) -> tensors.put(folder.relativize(file) + " " + key, tensor));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return tensors;
  }

  private static void assertSame(Path actual, Path expected) {
    Map<String, Tensor> before = tensors(expected);
    Map<String, Tensor> after = tensors(actual);
    assertThat(after.keySet()).isNotEmpty().isEqualTo(before.keySet());
    after.forEach((key, t) -> assertThat(t.contentEquals(before.get(key))).as(key).isTrue());
  }

  /** The member's tensors are those that it was trained with, under the name it has. */
  private static void assertFrozen(Path member, String name, String run) {
    Map<String, Tensor> after = TinyModel.tensors(member.resolve("adapter.safetensors"));
    Map<String, Tensor> before = TinyModel.tensors(adapter(run).resolve("adapter.safetensors"));
    assertThat(after).hasSameSizeAs(before);
    before.forEach(
        (key, tensor) -> {
          String named = key.replace("adapters.default.", "adapters." + name + ".");
          assertThat(after.get(named).contentEquals(tensor)).as(key).isTrue();
        });
  }

  private void assertItIsUsedAndTrainedAgain(Cli trained, String run) throws IOException {
    Path saved = folder.resolve(run).resolve("adapter");
    Cli judged = Cli.run("evaluate", model, "--adapter", saved, "--data", rows, "--json");
    assertThat(judged.exit()).as(judged.err()).isZero();
    JsonNode metrics = JSON.readTree(trained.out());
    assertThat(JSON.readTree(judged.out()).at("/accuracy")).isEqualTo(metrics.at("/test/accuracy"));
    Path again = folder.resolve("again");
    Path resolved = folder.resolve(run).resolve("recipe.yaml");
    Cli second = Cli.run("train", resolved, "--set", "output=" + again);
    assertThat(second.exit()).as(second.err()).isZero();
    assertSame(again.resolve("adapter"), saved);
  }

  @Test
  void adaptersOfTwoRunsAreFusedAndTheirOwnValuesStay() throws IOException {
    Cli cli = train(folder, "fused", fusion(""), 7);
    assertThat(cli.err().lines())
        .containsExactly(
            "peft4j: note: the head beside the adapter in %s is not used".formatted(adapter("a")),
            "peft4j: note: the head beside the adapter in %s is not used".formatted(adapter("b")),
            "peft4j: note: the invertible adapter in %s is not used, only that of the first, %s, if it has one"
                .formatted(adapter("b"), adapter("a")));
    Path saved = folder.resolve("fused/adapter");
    assertThat(saved.resolve("a,b/adapter_fusion_config.json")).exists();
    assertThat(JSON.readTree(saved.resolve("adapter_setup.json").toFile()).at("/adapter_setup"))
        .isEqualTo(
            JSON.readTree(
                """
                {"type": "Fuse", "children": [{"type": "single", "children": ["a"]},
                                              {"type": "single", "children": ["b"]}]}
                """));
    assertFrozen(saved.resolve("a"), "a", "a");
    assertFrozen(saved.resolve("b"), "b", "b");
    assertItIsUsedAndTrainedAgain(cli, "fused");
  }

  @Test
  void membersTrainTooWhereThatIsWanted() throws IOException {
    train(folder, "fused", fusion(", train_members: true, mixing: static, names: [x, y]"), 7);
    Map<String, Tensor> after =
        TinyModel.tensors(folder.resolve("fused/adapter/x/adapter.safetensors"));
    Map<String, Tensor> before = TinyModel.tensors(adapter("a").resolve("adapter.safetensors"));
    assertThat(before.keySet())
        .allMatch(
            key ->
                !after
                    .get(key.replace("adapters.default.", "adapters.x."))
                    .contentEquals(before.get(key)));
    assertThat(
            TinyModel.tensors(folder.resolve("fused/adapter/x,y/model_adapter_fusion.safetensors")))
        .allSatisfy((key, tensor) -> assertThat(key).doesNotContain(".value."));
  }

  @Test
  void aNewAdapterIsTrainedOnTopOfOneThatStays() throws IOException {
    Cli cli = train(folder, "stacked", stack(", name: mine, top: houlsby"), 7);
    Path saved = folder.resolve("stacked/adapter");
    assertThat(JSON.readTree(saved.resolve("adapter_setup.json").toFile()).at("/adapter_setup"))
        .isEqualTo(
            JSON.readTree(
                """
                {"type": "Stack", "children": [{"type": "single", "children": ["a"]},
                                               {"type": "single", "children": ["mine"]}]}
                """));
    assertFrozen(saved.resolve("a"), "a", "a");
    assertThat(saved.resolve("mine/adapter.safetensors")).exists();
    assertItIsUsedAndTrainedAgain(cli, "stacked");
  }

  @ParameterizedTest
  @CsvSource({"true", "false"})
  void aRunThatWasStoppedEndsBitForBitTheSame(boolean isFusion) throws IOException {
    String adapter = isFusion ? fusion("") : stack("");
    train(folder, "whole", adapter, 7);
    Path recipe = recipe(folder, "stopped", adapter, 7);
    trainUntilStep(recipe, folder.resolve("stopped/state"), 3);
    Cli resumed = Cli.run("train", recipe, "--resume");
    assertThat(resumed.exit()).as(resumed.err()).isZero();
    assertSame(folder.resolve("stopped/adapter"), folder.resolve("whole/adapter"));
  }

  private static void trainUntilStep(Path recipe, Path state, int last) {
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
    Trainer trainer = Trainer.with(stopped.training()).listening(stop).checkpointing(state, 0);
    assertThatThrownBy(() -> trainer.fit(adapted, data, data)).hasMessage("the power failed");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "method: fusion, adapters: [A] | adapters must name at least two folders",
        "method: fusion, adapters: [A, none] | adapter folder none does not exist",
        "method: fusion, adapters: [A, LORA] | which holds lora; only bottleneck adapters",
        "method: fusion, adapters: [A, A/../adapter] | twice; name each once",
        "method: fusion, adapters: [A, B], names: [x, x] | two adapters of the name 'x'",
        "method: fusion, adapters: [A, B], names: [x] | names has 1 names for 2 adapters",
        "method: fusion, adapters: [A, B], names: [x, ../y] | comma, point or slash, was '../y'",
        "method: fusion, adapters: [A, HOULSBY] | 'houlsby' is not in the same places as 'a'",
        "method: fusion, adapters: [A, PAR] | adapter 'par' is parallel",
        "method: fusion, adapters: [A, OTHER] | made for the hidden size 48, but this model has 32",
        "method: fusion, adapters: [A, B], temperature: true | temperature is not supported",
        "method: fusion, adapters: [A, B], mixing: odd | mixing must be dynamic or static",
        "method: fusion, adapters: [A, B], query: false, key: false, value: false | set one",
        "method: fusion, adapters: [A, B], dropout_prob: 1.5 | dropout_prob must be below 1",
        "method: stack | adapters must name the folder",
        "method: stack, adapters: [none] | adapter folder none does not exist",
        "method: stack, adapters: [LORA] | which holds lora; only bottleneck adapters",
        "method: stack, adapters: [A], name: a | two adapters of the name 'a'",
        "method: stack, adapters: [A], top: lora | top must be a bottleneck method",
        "method: stack, adapters: [A], top: odd | top must be a bottleneck method",
        "method: stack, adapters: [A], inv_adapter: nice | would not be used"
      })
  void whatCannotBeComposedIsOneLineBeforeAnyTrainingStarts(String adapter, String expected)
      throws IOException {
    String given =
        adapter
            .replace("LORA", adapter("lora").toString())
            .replace("HOULSBY", adapter("houlsby").toString())
            .replace("PAR", adapter("par").toString())
            .replace("OTHER", otherSize().toString())
            .replaceAll("\\bA\\b", adapter("a").toString())
            .replaceAll("\\bB\\b", adapter("b").toString());
    Cli cli = Cli.run("train", recipe(folder, "run", given, 7));
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains(expected);
    assertThat(folder.resolve("run")).doesNotExist();
  }

  private Path otherSize() throws IOException {
    Path copy = Files.createDirectories(folder.resolve("other"));
    for (String file : List.of("adapter_config.json", "adapter.safetensors")) {
      Files.copy(adapter("a").resolve(file), copy.resolve(file));
    }
    Path config = copy.resolve("adapter_config.json");
    Files.writeString(
        config, Files.readString(config).replaceFirst("(\"hidden_size\" ?: )32", "$148"));
    return copy;
  }
}
