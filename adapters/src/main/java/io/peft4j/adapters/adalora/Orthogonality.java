package io.peft4j.adapters.adalora;

import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.PenalizedObjective;
import io.peft4j.graph.GraphEditor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Weight × the mean over all A and B of ‖A Aᵀ − I‖ and ‖Bᵀ B − I‖, which keeps the triplets of a
 * layer apart.
 */
record Orthogonality(List<Triplets> layers, double weight) implements PenalizedObjective.Term {
  /** Below this a squared norm counts as it: the root has no derivative at zero. */
  private static final double LEAST_SQUARE = 1e-30;

  @Override
  public @Nullable Expression of(GraphEditor editor) {
    if (weight == 0) {
      return null;
    }
    Expression sum = null;
    for (Triplets layer : layers) {
      if (layer.rank() > 0) {
        Expression a = expression(editor, layer, layer.a());
        Expression b = expression(editor, layer, layer.b());
        sum = plus(sum, distance(editor, layer, a.matmul(a.transposed())));
        sum = plus(sum, distance(editor, layer, b.transposed().matmul(b)));
      }
    }
    return sum == null ? null : sum.times(weight / (2 * layers.size()));
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
