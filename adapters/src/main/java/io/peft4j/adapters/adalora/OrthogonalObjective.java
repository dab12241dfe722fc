package io.peft4j.adapters.adalora;

import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Expression;
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
 * Another objective plus weight × the mean over all A and B of ‖A Aᵀ − I‖ and ‖Bᵀ B − I‖, which
 * keeps the triplets of a layer apart.
 */
record OrthogonalObjective(Objective plain, List<Triplets> layers, double weight)
    implements Objective {
  /** Below this a squared norm counts as it: the root has no derivative at zero. */
  private static final double LEAST_SQUARE = 1e-30;

  @Override
  public String name() {
    return plain.name() + " + orthogonality " + weight;
  }

  @Override
  public double threshold() {
    return plain.threshold();
  }

  @Override
  public Graph attach(Graph graph, String logits) {
    Graph judged = plain.attach(graph, logits);
    if (weight == 0) {
      return judged;
    }
    GraphEditor editor = judged.edit();
    Expression sum = null;
    for (Triplets layer : layers) {
      if (layer.rank() > 0) {
        Expression a = expression(editor, layer, layer.a());
        Expression b = expression(editor, layer, layer.b());
        sum = plus(sum, distance(editor, layer, a.matmul(a.transposed())));
        sum = plus(sum, distance(editor, layer, b.transposed().matmul(b)));
      }
    }
    if (sum == null) {
      return judged;
    }
    String loss = editor.freshName(Loss.OUTPUT + "/plain");
    Node last = producer(editor);
    editor.replace(
        last, Node.of(last.name(), last.op(), last.inputs(), List.of(loss), last.attributes()));
    Expression total =
        Expression.of(editor, "loss", "orthogonality", loss)
            .plus(sum.times(weight / (2 * layers.size())));
    editor.add(
        Node.of(
            editor.freshName("/loss/orthogonality/Identity"),
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

  private static Expression expression(GraphEditor editor, Triplets layer, String value) {
    return Expression.of(editor, layer.path(), "orthogonality", value);
  }

  private static Expression plus(@Nullable Expression sum, Expression more) {
    return sum == null ? more : sum.plus(more);
  }

  /** ‖P − I‖, a scalar. */
  private static Expression distance(GraphEditor editor, Triplets layer, Expression product) {
    String identity =
        editor.constant(layer.e() + ".identity", AdaptedLinear.identity(layer.rank()));
    Expression gap = product.minus(expression(editor, layer, identity));
    return gap.times(gap).reshaped(-1).sum(0, false).clipped(LEAST_SQUARE, Float.MAX_VALUE).sqrt();
  }
}
