package io.peft4j.train;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

class AdamWGroupsTest {
  /** A linear layer and a LayerNorm whose weights have names that say nothing. */
  private static GraphEditor nameless() {
    GraphEditor editor = new GraphEditor("nameless");
    editor.input(Value.of("x", DType.FLOAT32, "batch", 4));
    editor.initializer("w1", Tensor.zeros(DType.FLOAT32, 4, 3));
    editor.initializer("w2", Tensor.zeros(DType.FLOAT32, 3));
    editor.initializer("w3", Tensor.zeros(DType.FLOAT32, 3));
    editor.initializer("w4", Tensor.zeros(DType.FLOAT32, 3));
    String sum = editor.node("gemm", "Gemm", List.of("x", "w1", "w2"));
    editor.add(
        Node.of("ln", "LayerNormalization", List.of(sum, "w3", "w4"), List.of("y"), Map.of()));
    return editor.output(Value.of("y", DType.FLOAT32, "batch", 3));
  }

  @Test
  void biasesAndNormsAreKnownByTheirPlace() {
    Graph graph = nameless().train("w1").train("w2").train("w3").train("w4").build();
    assertThat(AdamW.groups(graph, 0.1))
        .containsExactly(
            new AdamW.Group(Set.of("w1"), 1, 0.1), new AdamW.Group(Set.of("w2", "w3", "w4"), 1, 0));
  }

  @Test
  void biasesAndNormsAreKnownByTheirNames() {
    Tensor any = Tensor.zeros(DType.FLOAT32, 2);
    GraphEditor editor = nameless().train("w1");
    for (String name : List.of("a.bias", "b.LayerNorm.weight", "c.lora_A.weight")) {
      editor.initializer(name, any).train(name);
    }
    assertThat(AdamW.groups(editor.build(), 0.1))
        .containsExactly(
            new AdamW.Group(Set.of("w1", "c.lora_A.weight"), 1, 0.1),
            new AdamW.Group(Set.of("a.bias", "b.LayerNorm.weight"), 1, 0));
  }
}
