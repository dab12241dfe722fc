package io.peft4j.adapters.adapterhub;

import static io.peft4j.adapters.MethodCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.AdaptedModel;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.MethodCase;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;
import java.util.stream.Stream;

/** A golden case of AdapterHub: adapter folders, a batch, and what the library computes. */
record HubCase(MethodCase golden) {
  static final double TOLERANCE = 1e-5;
  private static final Path ROOT = Path.of("src/test/resources/methods/adapterhub");

  static HubCase of(String name) {
    Path folder = ROOT.resolve(name);
    Map<String, Tensor> io = SafeTensors.read(folder.resolve("io.safetensors")).tensors();
    return new HubCase(new MethodCase(folder, "base-bert", io));
  }

  /** The names of all cases. */
  static Stream<String> all() {
    return Stream.of(Objects.requireNonNull(ROOT.toFile().list())).sorted();
  }

  Path folder() {
    return golden.folder();
  }

  Map<String, Tensor> io() {
    return golden.io();
  }

  Map<String, Tensor> inputs() {
    return golden.inputs();
  }

  void assertLogits(AdaptedModel adapted, String expected) {
    Tensor logits = MethodCase.run(adapted.graph(), inputs()).get("logits");
    assertClose(expected, logits, io().get(expected), TOLERANCE, 0);
  }

  void assertOutputs(AdaptedModel adapted) {
    Map<String, Tensor> outputs = MethodCase.run(adapted.graph(), inputs());
    assertClose("logits", outputs.get("logits"), io().get("logits"), TOLERANCE, 0);
    assertClose(
        "last_hidden_state",
        outputs.get("last_hidden_state"),
        io().get("last_hidden_state"),
        TOLERANCE,
        0);
  }

  /** Loss and every gradient, for exactly the keys that the library has gradients for. */
  void assertGradients(AdaptedModel adapted) {
    try (TorchProgram program = golden.withLoss(adapted.graph(), CompileOptions.evaluation())) {
      Map<String, Tensor> outputs = program.backward(golden.labelled(), "loss");
      assertClose("loss", outputs.get("loss"), io().get("loss"), TOLERANCE, 0);
      TreeSet<String> seen = new TreeSet<>();
      for (AdapterTensor tensor : adapted.adapter().tensors()) {
        if (adapted.graph().trainable().contains(tensor.initializer())) {
          String key = "grad." + adapted.key(tensor);
          Tensor gradient = program.parameters().gradient(tensor.initializer());
          assertClose(key, gradient, io().get(key), TOLERANCE, 1e-4);
          seen.add(key);
        }
      }
      TreeSet<String> expected = new TreeSet<>(io().keySet());
      expected.removeIf(key -> !key.startsWith("grad."));
      assertThat(seen).isEqualTo(expected);
    }
  }

  /** A copy of a folder, to be changed. */
  static Path copy(Path from, Path to) {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(from.relativize(file).toString()));
      }
      return to;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** What is saved again holds the same tensors and the same configurations. */
  static void assertSavedAlike(Path before, AdaptedModel adapted, Path saved) {
    adapted.save(saved);
    try (Stream<Path> files = Files.walk(before)) {
      for (Path file : files.toList()) {
        String name = file.getFileName().toString();
        Path copy = saved.resolve(before.relativize(file).toString());
        if (name.endsWith("config.json")) {
          assertThat(MethodCase.json(copy)).as(name).isEqualTo(MethodCase.json(file));
        } else if (name.endsWith(".safetensors") && !name.matches("(io|merged)\\..*")) {
          assertEqual(SafeTensors.read(copy).tensors(), SafeTensors.read(file).tensors());
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void assertEqual(Map<String, Tensor> after, Map<String, Tensor> before) {
    assertThat(after.keySet()).containsExactlyInAnyOrderElementsOf(before.keySet());
    before.forEach(
        (key, tensor) -> assertThat(after.get(key).contentEquals(tensor)).as(key).isTrue());
  }

  AdaptedModel adapted() {
    return on(MethodCase.bert());
  }

  AdaptedModel on(PretrainedModel base) {
    return base.load(folder());
  }
}
