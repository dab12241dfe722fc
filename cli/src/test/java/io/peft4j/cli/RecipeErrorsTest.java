package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Recipes, settings and data that cannot be trained with: one line, and no run folder. */
class RecipeErrorsTest {
  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "adapter.targets='[intermediate.dense, outputt.dense]' | 'outputt.dense' | output.dense",
        "adapter.targets=nothing.like.it | nothing.like.it | nearest",
        "adapter.targets='.*\\.nowhere' | nowhere | nearest",
        "adapter.modules_to_save=[pooler, poolr] | modules_to_save names 'poolr' | pooler",
        "adapter.rank_pattern={intermediate: 4} | rank_pattern names 'intermediate' | dense",
        "adapter.method=freeze-mask | selections: a freeze mask needs at least one | recipe.yaml",
        "adapter.selections=[norm] | does not go with adapter.method lora | remove it",
        "data.train=absent.tsv | absent.tsv does not exist | check the path",
        "model=absent | model absent does not exist | check the path",
      })
  void aRecipeThatDoesNotFitModelOrFiles(String setting, String first, String second)
      throws IOException {
    Path recipe = recipe("");
    Cli cli = Cli.run("train", recipe, "--set", setting.replace("'", ""));
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains(first.strip()).contains(second.strip());
    assertThat(folder.resolve("run")).doesNotExist();
  }

  /** The same mistakes, in the recipe and as {@code --set}, which is decidable without it. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "adapter | rank | 0 | rank must be at least 1 | was 0",
        "adapter | ranks | 4 | the key 'adapter.ranks' is unknown | 'adapter.rank'",
        "adapter | alpha | NaN | alpha must be a number | NaN",
        "adapter | alpha | many | alpha must be a number | many",
        "adapter | dropout | 1 | dropout must be from 0 to below 1 | was 1",
        "adapter | rank_pattern | {query: 2.5} | rank_pattern must hold whole numbers | 2.5",
        "adapter | modules_to_save | [[pooler]] | must be a text or a list of texts | pooler",
        "adapter | method | freeze | must be one of | was 'freeze'",
        "adapter | rslora | 3 | must be true or false | 3",
        "training | epochs | many | must be a whole number | many",
        "training | schedule | zigzag | must be one of constant, linear, cosine | zigzag",
        "training | learning_rate | -1 | learning_rate must be a positive number | -1",
        "training | state_steps | -1 | state_steps must be 0 or a positive number | -1",
        "head | dropout | 2 | head_dropout must be from 0 to below 1 | 2",
        "head | pooling | max | must be one of mean, cls | max",
      })
  void aRecipeThatIsWrong(String section, String key, String value, String first, String second)
      throws IOException {
    Cli inFile = Cli.run("train", recipe("%s:\n  %s: %s\n".formatted(section, key, value)));
    inFile.assertFailed(1);
    assertThat(inFile.lastLine()).contains("recipe.yaml, line 5: ").contains(first, second);

    String setting = "%s.%s=%s".formatted(section, key, value);
    Cli asOption = Cli.run("train", "absent.yaml", "--set", setting);
    asOption.assertFailed(2);
    assertThat(asOption.lastLine()).contains("--set " + setting + ": ").contains(first, second);
    assertThat(folder.resolve("run")).doesNotExist();
  }

  /** Every key is named as it is typed, and the sentences around it stay as they are. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "adalora | init_r | -1 | init_r must be at least 1",
        "seq_bn | scaling | much | scaling is \"much\", which is not supported",
        "hub-ia3 | vera_b | 1 | recipe.yaml: VeRA shares its matrices",
        "hub-lora | vera_d | NaN | vera_d",
        "pvera | d_initial | NaN | adapter.d_initial must be a number",
        "boft | blocks | 4 | recipe.yaml: block_size is",
      })
  void aValueOfAMethodThatIsOutOfRange(String method, String key, String value, String told)
      throws IOException {
    Path recipe = recipe("adapter:\n  %s: %s\n  method: %s\n".formatted(key, value, method));
    Cli cli = Cli.run("train", recipe);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("recipe.yaml").contains(told).doesNotContain("the recipe:");
  }

  @Test
  void aTypoInARecipeNamesTheLine() throws IOException {
    Path recipe = recipe("training:\n  epoch: 3\n");
    Cli cli = Cli.run("train", recipe);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("recipe.yaml, line 5").contains("'training.epochs'");
  }

  @Test
  void aRecipeThatIsNoYaml() throws IOException {
    Cli cli = Cli.run("train", recipe("training: {epochs: 3\n"));
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("recipe.yaml, line ").contains("no valid YAML");
  }

  @Test
  void aSectionThatIsNone() throws IOException {
    Cli cli = Cli.run("train", recipe("training: 3\n"));
    cli.assertFailed(1);
    assertThat(cli.lastLine())
        .contains("line 4: training is a section; its keys are training.epochs");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "'' | rows.tsv",
        "text\\tlabel | rows.tsv",
        "text\\tlabel\\nthe bill is wrong\\tmoney\\nthe bill\\t\\n | line 3",
        "text\\tkind\\nthe bill is wrong\\tmoney\\n | 'label'",
        "text\\tlabel\\nthe bill is wrong\\tmoney\\n | at least 2 labels",
      })
  void dataThatCannotBeTrainedOn(String content, String message) throws IOException {
    Path recipe = recipe("");
    Files.writeString(
        folder.resolve("rows.tsv"), content.replace("\\t", "\t").replace("\\n", "\n"));
    Cli cli = Cli.run("train", recipe);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains(message);
    assertThat(folder.resolve("run")).doesNotExist();
  }

  @Test
  void aLabelThatTrainingNeverSaw() throws IOException {
    Path recipe = recipe("");
    Path other = Files.writeString(folder.resolve("dev.tsv"), "text\tlabel\nthe cup\tgifts\n");
    Cli cli = Cli.run("train", recipe, "--set", "data.validation=" + other);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("dev.tsv, line 2: label 'gifts' was not seen in training");
    assertThat(folder.resolve("run")).doesNotExist();
  }

  @Test
  void aLossThatIsNotFinite() throws IOException {
    Path recipe = recipe("training: {learning_rate: 1.0e+30, clip_norm: 0, epochs: 20}\n");
    Cli cli = Cli.run("train", recipe);
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("lower the learning rate");
    assertThat(folder.resolve("run/adapter")).doesNotExist();
  }

  /** A recipe that trains on eight rows; its first three lines are always the same. */
  private Path recipe(String more) throws IOException {
    Path model = TinyModel.encoder(folder.resolve("model"));
    Path rows = TinyModel.rows(folder.resolve("rows.tsv"));
    return Files.writeString(
        folder.resolve("recipe.yaml"),
        "model: %s\noutput: %s\ndata: {train: %s}\n%s"
            .formatted(model, folder.resolve("run"), rows, more));
  }
}
