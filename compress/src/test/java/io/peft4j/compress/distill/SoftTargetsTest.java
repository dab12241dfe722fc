package io.peft4j.compress.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.RecipeException;
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
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SoftTargetsTest {
  private static final Map<String, Tensor> GOLDEN =
      SafeTensors.read(Path.of("src/test/resources/compression/kd_loss.safetensors")).tensors();

  @ParameterizedTest
  @CsvSource({"1, 0.5", "2, 0.3", "2, 1", "4, 0"})
  void lossAndGradientAreThoseOfTheReference(double temperature, String alpha) {
    Tensor student = GOLDEN.get("student_logits");
    GraphEditor editor = new GraphEditor("student");
    editor.initializer("s", student).train("s");
    editor.add(Node.of("copy", "Identity", List.of("s"), List.of("logits"), Map.of()));
    editor.output(Value.of("logits", DType.FLOAT32, student.dim(0), student.dim(1)));
    Graph graph =
        new DistillationLoss(
                List.of(
                    new DistillationLoss.Part(
                        new SoftTargets(temperature, Double.parseDouble(alpha)), 1)))
            .attach(editor.build(), "logits");
    String prefix = "T%d_alpha%s.".formatted((int) temperature, alpha);
    try (TorchProgram program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      Map<String, Tensor> outputs =
          program.backward(
              Map.of(
                  "labels", GOLDEN.get("labels"), "teacher_logits", GOLDEN.get("teacher_logits")),
              "loss");
      assertThat(outputs.get("loss").item())
          .isCloseTo(GOLDEN.get(prefix + "loss").item(), within(1e-5));
      assertThat(program.parameters().gradient("s").toFloats())
          .containsExactly(GOLDEN.get(prefix + "grad_student").toFloats(), within(1e-6f));
    }
  }

  @Test
  void rowsWithoutLabelsAddTheirSoftTermOnly() {
    Tensor student = GOLDEN.get("student_logits");
    long[] none = new long[Math.toIntExact(student.dim(0))];
    java.util.Arrays.fill(none, SoftTargets.UNLABELLED);
    double loss = loss(new SoftTargets(2, 0.3), Tensor.vector(none));
    assertThat(loss).isCloseTo(0.7 * GOLDEN.get("T2_alpha0.3.kl").item(), within(1e-5));
  }

  private static double loss(SoftTargets targets, Tensor labels) {
    Tensor student = GOLDEN.get("student_logits");
    GraphEditor editor = new GraphEditor("student");
    editor.input(Value.of("logits", DType.FLOAT32, student.dim(0), student.dim(1)));
    Graph graph =
        new DistillationLoss(List.of(new DistillationLoss.Part(targets, 1)))
            .attach(editor.build(), "logits");
    try (TorchProgram program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return program
          .run(
              Map.of(
                  "logits", student,
                  "labels", labels,
                  "teacher_logits", GOLDEN.get("teacher_logits")))
          .get("loss")
          .item();
    }
  }

  @Test
  void settingsOutOfRangeAreRefused() {
    assertThatThrownBy(() -> new SoftTargets(0, 0.5)).isInstanceOf(RecipeException.class);
    assertThatThrownBy(() -> new SoftTargets(2, 1.5)).isInstanceOf(RecipeException.class);
  }
}
