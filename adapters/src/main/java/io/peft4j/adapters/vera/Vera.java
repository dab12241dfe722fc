package io.peft4j.adapters.vera;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.adapters.linear.SharedProjections;
import java.util.List;

/**
 * VeRA (Kopiczko et al., arXiv 2310.11454): y = x Wᵀ + b + λb ⊙ (B (λd ⊙ (A x))). A [r, in] and B
 * [out, r] are random, frozen and shared: the largest sizes that a target has, of which each layer
 * takes its part. λb starts at zero, so that the model starts unchanged.
 *
 * @param rank r
 * @param dInitial start value of λd
 * @param projectionPrngKey seed of A and B
 * @param saveProjection whether A and B are stored; otherwise they are made anew from the seed
 * @param dropout share of the input that is dropped before the update
 */
public record Vera(
    int rank,
    double dInitial,
    int projectionPrngKey,
    boolean saveProjection,
    double dropout,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  public Vera {
    Checks.atLeast("rank", rank, 1);
    Checks.number("dInitial", dInitial);
    Checks.fraction("dropout", dropout);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** VeRA of a rank on the feed-forward blocks. */
  public static Vera rank(int rank) {
    return new Vera(rank, 0.1, 0, true, 0, Targets.feedForward(), List.of());
  }

  public Vera on(Targets newTargets) {
    return new Vera(
        rank, dInitial, projectionPrngKey, saveProjection, dropout, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "vera";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    SharedProjections shared =
        SharedProjections.of(layer, "vera_", rank, rank, projectionPrngKey, saveProjection);
    Expression lambdaB = layer.parameter("vera_lambda_b", AdaptedLinear.filled(0, layer.out()));
    Expression lambdaD = layer.parameter("vera_lambda_d", AdaptedLinear.filled(dInitial, rank));
    Expression low = layer.x().dropout(dropout).matmul(shared.a().transposed()).times(lambdaD);
    Expression update = low.matmul(shared.b().transposed()).times(lambdaB);
    return layer.y().plus(update);
  }
}
