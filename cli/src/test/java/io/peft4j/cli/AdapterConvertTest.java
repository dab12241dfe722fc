package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code adapter convert} and {@code adapter export}. */
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

  @Test
  void adaptersAreWrittenForOnnxRuntime() {
    Path a = TinyModel.METHODS.resolve("weighted/a");
    Path c = TinyModel.METHODS.resolve("weighted/c");
    Path output = folder.resolve("switch");
    Cli cli = Cli.run("adapter", "export", BASE, a, c, "--output", output);
    assertThat(cli.exit()).as(cli.err()).isZero();
    assertThat(output.toFile().list())
        .containsExactlyInAnyOrder("model.onnx", "a.onnx_adapter", "c.onnx_adapter");
    Cli.run("adapter", "export", BASE, a, "--output", output).assertFailed(1);
    Cli.run("adapter", "export", BASE, a, a, "--output", output).assertFailed(2);
    Cli.run("adapter", "export", BASE, "--output", output).assertFailed(2);
    Path dora = TinyModel.METHODS.resolve("peft/dora-bert");
    Cli.run("adapter", "export", BASE, dora, "--output", folder.resolve("x")).assertFailed(1);
    assertThat(folder.resolve("x")).doesNotExist();
  }
}
