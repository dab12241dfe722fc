package io.peft4j.compress.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every loss and its gradients against those of torch. */
class MatchTermsTest {
  private static Map<String, Tensor> golden(String file) {
    return SafeTensors.read(Path.of("src/test/resources/compression/" + file + ".safetensors"))
        .tensors();
  }

  /** What a term gives. */
  private record Found(double loss, Map<String, float[]> gradients) {}

  /**
   * Runs a term on a graph that holds nothing but the student's values.
   *
   * @param leaves what trains; each is also the value of its name with {@code _value} behind it
   */
  private static Found run(
      DistillationTerm term, Map<String, Tensor> leaves, Map<String, Tensor> inputs) {
    GraphEditor editor = new GraphEditor("student");
    editor.input(Value.of(FeedForwardStudent.MASK, DType.INT64, "batch", "sequence"));
    leaves.forEach(
        (name, value) -> {
          editor.initializer(name, value).train(name);
          String output = name + "_value";
          editor.add(Node.of("/" + name, "Identity", List.of(name), List.of(output), Map.of()));
        });
    String loss = term.attach(editor, "student_logits_value");
    Graph graph = editor.output(Value.of(loss, DType.FLOAT32)).build();
    Map<String, Tensor> given = new HashMap<>(inputs);
    given.keySet().retainAll(graph.requiredInputs());
    try (TorchProgram program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      double value = program.backward(given, loss).get(loss).item();
      Map<String, float[]> gradients = new LinkedHashMap<>();
      leaves
          .keySet()
          .forEach(leaf -> gradients.put(leaf, program.parameters().gradient(leaf).toFloats()));
      return new Found(value, gradients);
    }
  }

  @ParameterizedTest
  @EnumSource(TokenTargets.Kind.class)
  void tokenTargets(TokenTargets.Kind kind) {
    Map<String, Tensor> golden = golden("kd_token");
    Found found =
        run(
            new TokenTargets(kind, 2),
            Map.of("student_logits", golden.get("student_logits")),
            Map.of(
                TokenTargets.TEACHER, golden.get("teacher_logits"),
                FeedForwardStudent.MASK, golden.get("mask")));
    String key = kind.name().toLowerCase(java.util.Locale.ROOT);
    assertThat(found.loss()).isCloseTo(golden.get(key).item(), within(1e-5));
    assertThat(found.gradients().get("student_logits"))
        .containsExactly(golden.get(key + ".grad_student").toFloats(), within(1e-5f));
  }

  @ParameterizedTest
  @EnumSource(Distance.class)
  void hiddenStates(Distance distance) {
    Map<String, Tensor> golden = golden("hidden_loss");
    Found found =
        run(
            new VectorMatch(distance, "student_value", "teacher", "projection", true),
            Map.of("student", golden.get("student"), "projection", golden.get("projection")),
            Map.of("teacher", golden.get("teacher"), FeedForwardStudent.MASK, golden.get("mask")));
    String key = distance.name().toLowerCase(java.util.Locale.ROOT);
    assertThat(found.loss()).isCloseTo(golden.get(key).item(), within(1e-5));
    found
        .gradients()
        .forEach(
            (leaf, gradient) ->
                assertThat(gradient)
                    .as(leaf)
                    .containsExactly(golden.get(key + ".grad_" + leaf).toFloats(), within(1e-5f)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"q", "k", "v"})
  void relations(String part) {
    Map<String, Tensor> golden = golden("minilm_relations");
    Found found =
        run(
            relation(golden, "student_" + part, "student_" + part, "teacher_" + part),
            Map.of("student_" + part, golden.get("student_" + part)),
            inputs(golden));
    String key = "loss_" + part + part;
    assertThat(found.loss()).isCloseTo(golden.get(key).item(), within(1e-5));
    assertThat(found.gradients().get("student_" + part))
        .containsExactly(golden.get(key + ".grad_student").toFloats(), within(1e-5f));
  }

  @ParameterizedTest
  @CsvSource("student_q, student_k")
  void attention(String query, String key) {
    Map<String, Tensor> golden = golden("minilm_relations");
    RelationMatch term =
        new RelationMatch(
            4,
            new RelationMatch.Side(query + "_value", key + "_value", 16),
            new RelationMatch.Side("teacher_q", "teacher_k", 32));
    Found found = run(term, Map.of(query, golden.get(query), key, golden.get(key)), inputs(golden));
    assertThat(found.loss()).isCloseTo(golden.get("loss_attention").item(), within(1e-5));
    for (String leaf : List.of(query, key)) {
      assertThat(found.gradients().get(leaf))
          .containsExactly(golden.get("loss_attention.grad_" + leaf).toFloats(), within(1e-5f));
    }
  }

  private static RelationMatch relation(
      Map<String, Tensor> golden, String left, String right, String teacher) {
    return new RelationMatch(
        (int) golden.get("relation_heads").item(),
        new RelationMatch.Side(left + "_value", right + "_value", golden.get(left).dim(2)),
        new RelationMatch.Side(teacher, teacher, golden.get(teacher).dim(2)));
  }

  private static Map<String, Tensor> inputs(Map<String, Tensor> golden) {
    Map<String, Tensor> inputs = new HashMap<>(golden);
    inputs.put(FeedForwardStudent.MASK, golden.get("mask"));
    return inputs;
  }
}
