package io.peft4j.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a whole process prints, native libraries included. */
class StandardErrorTest {
  @TempDir Path folder;

  @Test
  void aFailureInOnnxRuntimeIsTheOnlyLine() throws IOException, InterruptedException {
    Path model = TinyModel.ONNX.resolve("bert-opset17");
    Map<String, Tensor> inputs =
        new TreeMap<>(TinyModel.tensors(model.resolve("inputs.safetensors")));
    inputs.put("attention_mask", Tensor.zeros(DType.INT64, 3, 7)); // the ids are [3, 11]
    Path given = folder.resolve("in.safetensors");
    SafeTensors.write(given, inputs, Map.of());
    Path errors = folder.resolve("errors.txt");
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Dai.djl.offline=true",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                "run",
                model.resolve("model.onnx").toString(),
                "--engine",
                "onnxruntime",
                "--inputs",
                given.toString(),
                "--output",
                folder.resolve("out.safetensors").toString())
            .redirectError(errors.toFile())
            .start();
    assertThat(process.getInputStream().readAllBytes()).isEmpty();
    assertThat(process.waitFor()).isEqualTo(1);
    List<String> lines = Files.readString(errors, UTF_8).lines().toList();
    assertThat(lines).hasSize(1);
    assertThat(lines.get(0))
        .startsWith("peft4j: error: ONNX Runtime failed: ")
        .contains("Name:'/bert/encoder/layer.0/attention/self/Add'", "7 by 11")
        .doesNotContain("onnxruntime_src", "::");
    assertThat(folder.resolve("out.safetensors")).doesNotExist();
  }
}
