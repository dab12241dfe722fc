package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AdapterConvertTest {
  private static final Path BASE = TinyModel.METHODS.resolve("base-bert");
  private static final Path HUB = TinyModel.METHODS.resolve("adapterhub/lora");

  @TempDir Path folder;

  @Test
  void aFolderOfOneLibraryBecomesOneOfTheOther() {
    Path output = folder.resolve("peft");
    Cli cli = Cli.run("adapter", "convert", HUB, BASE, "--to", "peft", "--output", output);
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(TinyModel.tensors(output.resolve("adapter_model.safetensors")))
        .containsKey("base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight");
    Cli.run("adapter", "convert", HUB, BASE, "--to", "peft", "--output", output).assertFailed(1);
  }

  @Test
  void whatCannotBeIsAnErrorAndLeavesNothing() {
    Path output = folder.resolve("none");
    Path bottleneck = TinyModel.METHODS.resolve("adapterhub/seq_bn");
    Cli.run("adapter", "convert", bottleneck, BASE, "--to", "peft", "--output", output)
        .assertFailed(1);
    Cli.run("adapter", "convert", HUB, BASE, "--to", "adapterhub", "--output", output)
        .assertFailed(1);
    Cli.run("adapter", "convert", HUB, BASE, "--to", "other", "--output", output).assertFailed(2);
    Cli.run("adapter", "convert", HUB, "--to", "peft", "--output", output).assertFailed(2);
    assertThat(output).doesNotExist();
  }
}
