package io.peft4j.adapters;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PretrainedModel;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.Loss;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A golden case of PEFT: an adapter folder, a batch, and what the reference library computes from
 * them.
 */
public record MethodCase(Path folder, String baseName, Map<String, Tensor> io) {
  private static final Path ROOT = Path.of("src/test/resources/methods");

  /** The names of all cases of PEFT. */
  public static Stream<String> peftCases() {
    return folders(ROOT.resolve("peft"));
  }

  public static MethodCase peft(String name) {
    Path folder = ROOT.resolve("peft").resolve(name);
    return new MethodCase(
        folder,
        json(folder.resolve("case.json")).get("base").asText(),
        SafeTensors.read(folder.resolve("io.safetensors")).tensors());
  }

  public static Path training(String name) {
    return ROOT.resolve("training").resolve(name);
  }

  private static Stream<String> folders(Path root) {
    try (Stream<Path> entries = Files.list(root)) {
      return entries
          .filter(folder -> Files.exists(folder.resolve("io.safetensors")))
          .map(folder -> folder.getFileName().toString())
          .sorted()
          .toList()
          .stream();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static PretrainedModel bert() {
    return model("base-bert");
  }

  private static PretrainedModel model(String name) {
    return Checkpoints.open(ROOT.resolve(name));
  }

  public PretrainedModel base() {
    return model(baseName);
  }

  /** Whether the model predicts the next token. */
  public boolean isCausal() {
    return !baseName.equals("base-bert");
  }

  public static JsonNode json(Path file) {
    try {
      return new ObjectMapper().readTree(file.toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public AdaptedModel adapted() {
    return base().load(folder);
  }

  /** The batch without labels. */
  public Map<String, Tensor> inputs() {
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (String key : new String[] {"input_ids", "attention_mask", "token_type_ids"}) {
      if (io.containsKey(key)) {
        inputs.put(key, io.get(key));
      }
    }
    return inputs;
  }

  /** The batch with labels. */
  public Map<String, Tensor> labelled() {
    Map<String, Tensor> inputs = inputs();
    inputs.put("labels", io.get("labels"));
    return inputs;
  }

  public static Map<String, Tensor> run(Graph graph, Map<String, Tensor> inputs) {
    try (TorchProgram program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return program.run(inputs);
    }
  }

  /** The model with the loss of its kind. */
  public TorchProgram withLoss(Graph graph, CompileOptions options) {
    Loss loss = isCausal() ? Loss.CAUSAL_CROSS_ENTROPY : Loss.CROSS_ENTROPY;
    return TorchEngine.compile(loss.attach(graph, "logits"), options);
  }

  /** Holds |a - b| against atol + rtol |b|. */
  public static void assertClose(
      String what, Tensor actual, Tensor expected, double atol, double rtol) {
    assertThat(actual.shape()).as(what).isEqualTo(expected.shape());
    double[] a = actual.toDoubles();
    double[] b = expected.toDoubles();
    for (int i = 0; i < a.length; i++) {
      double limit = atol + rtol * Math.abs(b[i]);
      assertThat(Math.abs(a[i] - b[i])).as(what + " at " + i).isLessThanOrEqualTo(limit);
    }
  }
}
