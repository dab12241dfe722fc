package io.peft4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ExportCommandTest {
  @TempDir Path folder;

  /** With an operator that the training engine lacks, and with one that rounds to 16 bits. */
  @ParameterizedTest
  @ValueSource(strings = {"bert-optimized", "bert-fp16"})
  void anUnchangedOnnxFileIsRewrittenWhateverItComputesWith(String name) {
    Path source = TinyModel.ONNX.resolve(name);
    Path output = folder.resolve("model.onnx");
    Cli cli =
        Cli.run("export", source.resolve("model.onnx"), "--format", "onnx", "--output", output);
    assertThat(cli.exit()).as(cli.err()).isZero();
    Path results = folder.resolve("results.safetensors");
    Cli run =
        Cli.run(
            "run",
            output,
            "--engine",
            "onnxruntime",
            "--output",
            results,
            "--inputs",
            source.resolve("inputs.safetensors"));
    assertThat(run.exit()).as(run.err()).isZero();
    Map<String, Tensor> expected = TinyModel.tensors(source.resolve("outputs.safetensors"));
    double[] actual = TinyModel.tensors(results).get("logits").toDoubles();
    double[] wanted = expected.get("logits").toDoubles();
    for (int i = 0; i < wanted.length; i++) {
      assertThat(Math.abs(actual[i] - wanted[i])).isLessThan(name.endsWith("16") ? 5e-3 : 1e-5);
    }
  }

  @Test
  void aDifferenceAboveTheToleranceWritesNothing() {
    Path output = folder.resolve("model.onnx");
    Cli cli =
        Cli.run(
            "export",
            TinyModel.FAMILIES.resolve("bert"),
            "--format",
            "onnx",
            "--output",
            output,
            "--tolerance",
            "1e-12");
    cli.assertFailed(1);
    assertThat(cli.lastLine()).contains("more than the tolerance 1.00e-12");
    assertThat(output).doesNotExist();
  }
}
