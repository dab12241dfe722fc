package io.peft4j.compress.distill;

import static com.google.common.base.Preconditions.checkArgument;

import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Value;
import io.peft4j.task.Loss;
import io.peft4j.task.Objective;
import java.util.List;
import java.util.Map;

/**
 * The weighted sum of several terms.
 *
 * @param parts at least one
 */
record DistillationLoss(List<Part> parts) implements Objective {
  /** A term and its factor. */
  record Part(DistillationTerm term, double weight) {}

  DistillationLoss {
    checkArgument(!parts.isEmpty(), "a loss needs at least one term");
    parts = List.copyOf(parts);
  }

  @Override
  public String name() {
    return parts.toString();
  }

  @Override
  public double threshold() {
    return Loss.CROSS_ENTROPY.threshold();
  }

  @Override
  public Graph attach(Graph graph, String logits) {
    GraphEditor editor = graph.edit();
    LossNodes nodes = new LossNodes(editor, "/distillation");
    String sum = "";
    for (Part part : parts) {
      String term = nodes.times(part.term().attach(editor, logits), part.weight());
      sum = sum.isEmpty() ? term : nodes.node("Add", List.of(sum, term));
    }
    editor.add(
        Node.of(
            "/distillation/Identity", "Identity", List.of(sum), List.of(Loss.OUTPUT), Map.of()));
    return editor.output(Value.of(Loss.OUTPUT, DType.FLOAT32)).build();
  }
}
