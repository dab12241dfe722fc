package io.peft4j.adapters;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.AdaptedModel;
import io.peft4j.Checkpoints;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.MethodRecipes;
import io.peft4j.adapters.adapterhub.AdapterHubFormat;
import io.peft4j.adapters.peft.PeftFormat;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchParameters;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.Graph;
import io.peft4j.task.Loss;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Holds {@code docs/methods.md} against what each method does when it is tried. {@code
 * -Dpeft4j.write-docs=true} writes the file.
 */
class MethodTableTest {
  private static final Path PAGE = Path.of("../docs/methods.md");
  private static final Path CONV = Path.of("src/test/resources/methods/conv/model.onnx");
  private static final String HEAD =
      """
      # Methods

      What each `adapter.method` of a recipe does, found by trying it: training (a gradient that
      is not zero reaches it), merging into the base model's weights, the files that it is written
      to, attaching to an ONNX model, and attaching to convolutions and to embeddings.
      MethodTableTest writes this page.

      | Method | Trains | Merges | PEFT file | AdapterHub file | ONNX import | Conv | Embedding |
      | --- | --- | --- | --- | --- | --- | --- | --- |
      """;

  @TempDir Path folder;

  @Test
  void thePageSaysWhatTheMethodsDo() throws IOException {
    Path export = folder.resolve("bert.onnx");
    MethodCase.bert().save(export);
    PretrainedModel onnx = Checkpoints.open(export);
    PretrainedModel conv = Checkpoints.open(CONV);
    String page =
        SmallMethods.names()
            .map(name -> row(name, onnx, conv))
            .collect(Collectors.joining("\n", HEAD, "\n"));
    if (Boolean.getBoolean("peft4j.write-docs")) {
      Files.writeString(PAGE, page, UTF_8);
    }
    assertThat(page).isEqualTo(Files.readString(PAGE, UTF_8));
  }

  private static String row(String name, PretrainedModel onnx, PretrainedModel conv) {
    PretrainedModel base = MethodCase.bert();
    AdaptedModel adapted = SmallMethods.moved(base.attach(SmallMethods.named(name)));
    AttachedAdapter adapter = adapted.adapter();
    return Stream.of(
            trains(adapted.graph()),
            works(adapted::merge),
            new PeftFormat().writes(adapter),
            new AdapterHubFormat().writes(adapter),
            works(() -> onnx.attach(SmallMethods.named(name))),
            takes(name, conv, "point"),
            takes(name, base, "word_embeddings"))
        .map(yes -> yes ? "yes" : "–")
        .collect(Collectors.joining(" | ", "| `" + name + "` | ", " |"));
  }

  private static boolean trains(Graph graph) {
    Graph withLoss = Loss.CROSS_ENTROPY.attach(graph, "logits");
    try (TorchProgram program = TorchEngine.compile(withLoss, CompileOptions.evaluation())) {
      program.backward(MethodCase.peft("lora-ffn").labelled(), "loss");
      TorchParameters parameters = program.parameters();
      return parameters.names().stream()
          .anyMatch(
              key -> Arrays.stream(parameters.gradient(key).toDoubles()).anyMatch(g -> g != 0));
    }
  }

  /** Whether a method can be aimed at the module and attaches to it. */
  private static boolean takes(String name, PretrainedModel model, String module) {
    Map<String, Object> aims = new HashMap<>();
    for (String key : List.of("targets", "feedforward_modules", "selections")) {
      if (MethodRecipes.named(name).keys().contains(key)) {
        aims.put(key, List.of(key.equals("selections") ? "named:" + module : module));
      }
    }
    AdapterMethod method = SmallMethods.with(name, aims);
    return !aims.isEmpty() && works(() -> model.attach(method));
  }

  private static boolean works(Runnable attempt) {
    try {
      attempt.run();
      return true;
    } catch (PeftException e) {
      return false;
    }
  }
}
