package io.peft4j.adapters.delora;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.adapters.linear.Patterns;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;

/**
 * DeLoRA (Bini et al., arXiv 2503.18225): the update is B diag(λ / (r ‖a_i‖ ‖b_i‖)) A diag(‖w_j‖),
 * whose strength is λ's and whose direction is A's and B's; ‖w_j‖ are the norms of W's columns. B
 * starts at zero, so that the model starts unchanged.
 *
 * @param rank r
 * @param lambda start value of λ
 * @param moduleDropout share of the input that is dropped before the update
 * @param rankPattern other ranks, by expressions that match the end of a module's path
 * @param lambdaPattern other start values, likewise
 */
public record Delora(
    int rank,
    double lambda,
    double moduleDropout,
    Targets targets,
    Map<String, Integer> rankPattern,
    Map<String, Double> lambdaPattern,
    List<String> modulesToSave)
    implements LinearMethod {
  private static final double LEAST_NORM = 1e-4;

  public Delora {
    Checks.atLeast("rank", rank, 1);
    Checks.positive("lambda", lambda);
    Checks.fraction("moduleDropout", moduleDropout);
    rankPattern = Patterns.ranks(rankPattern);
    lambdaPattern = Patterns.copy(lambdaPattern);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** DeLoRA of a rank on the feed-forward blocks. */
  public static Delora rank(int rank) {
    return new Delora(rank, 15, 0, Targets.feedForward(), Map.of(), Map.of(), List.of());
  }

  public Delora on(Targets newTargets) {
    return new Delora(
        rank, lambda, moduleDropout, newTargets, rankPattern, lambdaPattern, modulesToSave);
  }

  @Override
  public String name() {
    return "delora";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int r = Patterns.pick(rankPattern, layer.path(), rank);
    double start = Patterns.pick(lambdaPattern, layer.path(), lambda);
    Expression a = layer.parameter("delora_A", layer.kaiming(r, layer.in()));
    Expression b = layer.parameter("delora_B", AdaptedLinear.filled(0, layer.out(), r));
    Expression strength = layer.parameter("delora_lambda", AdaptedLinear.filled(start, 1));
    Expression columns = layer.stored("delora_w_norm", columnNorms(layer));
    Expression norms = norm(a, 1).times(norm(b, 0));
    Expression scale = strength.times(1.0 / r).over(norms);
    Expression low =
        layer.x().dropout(moduleDropout).times(columns).matmul(a.transposed()).times(scale);
    return layer.y().plus(low.matmul(b.transposed()));
  }

  /** Limited before the root is taken, whose slope at the zeros of a new B is infinite. */
  private static Expression norm(Expression matrix, int axis) {
    Expression squares = matrix.times(matrix).sum(axis, false);
    return squares.clipped(LEAST_NORM * LEAST_NORM, Float.MAX_VALUE).sqrt();
  }

  /** ‖w_j‖ of each column of W, [in]. */
  private static Tensor columnNorms(AdaptedLinear layer) {
    double[] weight = layer.weightValues().toDoubles();
    double[] squares = new double[layer.in()];
    for (int i = 0; i < weight.length; i++) {
      squares[layer.inFirst() ? i / layer.out() : i % layer.in()] += weight[i] * weight[i];
    }
    for (int j = 0; j < squares.length; j++) {
      squares[j] = Math.sqrt(squares[j]);
    }
    return Tensor.ofDoubles(new long[] {squares.length}, squares).cast(DType.FLOAT32);
  }
}
