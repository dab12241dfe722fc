package io.peft4j.adapters.linear;

import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Value;
import io.peft4j.task.Loss;
import io.peft4j.task.Objective;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Another objective plus a term that depends on parameters alone.
 *
 * @param penalty the term's name, its settings included
 */
public record PenalizedObjective(Objective plain, String penalty, Term term) implements Objective {

  /** What is added to the loss. */
  public interface Term {
    /** A scalar; null if there is nothing to add. */
    @Nullable Expression of(GraphEditor editor);
  }

  @Override
  public String name() {
    return plain.name() + " + " + penalty;
  }

  @Override
  public double threshold() {
    return plain.threshold();
  }

  @Override
  public Graph attach(Graph graph, String logits) {
    Graph judged = plain.attach(graph, logits);
    GraphEditor editor = judged.edit();
    Expression added = term.of(editor);
    if (added == null) {
      return judged;
    }
    String loss = editor.freshName(Loss.OUTPUT + "/plain");
    Node last = producer(editor);
    editor.replace(
        last, Node.of(last.name(), last.op(), last.inputs(), List.of(loss), last.attributes()));
    Expression total = Expression.of(editor, "loss", "penalty", loss).plus(added);
    editor.add(
        Node.of(
            editor.freshName("/loss/penalty/Identity"),
            "Identity",
            List.of(total.value()),
            List.of(Loss.OUTPUT),
            Map.of()));
    return editor.output(Value.of(Loss.OUTPUT, DType.FLOAT32)).build();
  }

  private static Node producer(GraphEditor editor) {
    return editor.nodes().stream()
        .filter(node -> node.outputs().contains(Loss.OUTPUT))
        .findFirst()
        .orElseThrow();
  }
}
