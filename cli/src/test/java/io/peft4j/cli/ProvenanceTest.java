package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.Checkpoints;
import io.peft4j.Version;
import io.peft4j.data.DataFiles;
import io.peft4j.format.Checkpoint;
import io.peft4j.format.ContentHash;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What made an adapter is told in its folder, survives loading, and goes into exported files. */
class ProvenanceTest {
  @TempDir Path folder;

  @Test
  void everyArtefactSaysWhatMadeIt() throws IOException {
    Path model = TinyModel.encoder(folder.resolve("model"));
    Path rows = TinyModel.rows(folder.resolve("rows.tsv"));
    Path recipe =
        Files.writeString(
            folder.resolve("recipe.yaml"),
            "model: %s\noutput: %s\ndata: {train: %s}\ntraining: {epochs: 1, seed: 5}\n"
                .formatted(model, folder.resolve("run"), rows));
    assertThat(Cli.run("train", recipe).exit()).isZero();
    Path adapter = folder.resolve("run/adapter");
    JsonNode notes =
        new ObjectMapper().readTree(adapter.resolve("peft4j.json").toFile()).get("provenance");
    assertThat(notes.get("peft4j").asText()).isEqualTo(Version.text()).doesNotContain("$");
    assertThat(notes.get("data").asText()).isEqualTo("rows.tsv");
    assertThat(notes.get("dataSha256").asText())
        .isEqualTo(ContentHash.of(DataFiles.read(rows, DataFiles.Columns.standard(), true)));
    assertThat(notes.get("baseSha256").asText())
        .isEqualTo(ContentHash.of(Checkpoints.open(model).graph()));
    assertThat(notes.get("recipe").asText()).contains("seed=5");

    Path exported = folder.resolve("model.onnx");
    Cli cli =
        Cli.run("export", model, "--adapter", adapter, "--format", "onnx", "--output", exported);
    assertThat(cli.exit()).as(cli.err()).isZero();
    String metadata = Checkpoints.open(exported).graph().metadata().get(Checkpoint.PROVENANCE_KEY);
    assertThat(new ObjectMapper().readTree(metadata)).isEqualTo(notes);
  }
}
