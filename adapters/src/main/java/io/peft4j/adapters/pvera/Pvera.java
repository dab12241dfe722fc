package io.peft4j.adapters.pvera;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.adapters.linear.SharedProjections;
import java.util.List;

/**
 * PVeRA: VeRA ({@code y = x Wᵀ + b + λb ⊙ (B z)}) whose inner values z are drawn, in training, from
 * normal distributions with the means and log-variances λd ⊙ (A x); otherwise z is the mean. A [2r,
 * in] and B [out, r] are random, frozen and shared. λb starts at zero, so that the model starts
 * unchanged.
 *
 * @param rank r
 * @param dInitial start value of λd
 * @param projectionPrngKey seed of A and B
 * @param saveProjection whether A and B are stored; otherwise they are made anew from the seed
 * @param dropout share of the input that is dropped before the update
 */
public record Pvera(
    int rank,
    double dInitial,
    int projectionPrngKey,
    boolean saveProjection,
    double dropout,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  public Pvera {
    Checks.atLeast("rank", rank, 1);
    Checks.number("dInitial", dInitial);
    Checks.fraction("dropout", dropout);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** PVeRA of a rank on the feed-forward blocks. */
  public static Pvera rank(int rank) {
    return new Pvera(rank, 0.1, 0, true, 0, Targets.feedForward(), List.of());
  }

  public Pvera on(Targets newTargets) {
    return new Pvera(
        rank, dInitial, projectionPrngKey, saveProjection, dropout, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "pvera";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    SharedProjections shared =
        SharedProjections.of(layer, "pvera_", 2 * rank, rank, projectionPrngKey, saveProjection);
    Expression lambdaB = layer.parameter("pvera_lambda_b", AdaptedLinear.filled(0, layer.out()));
    Expression lambdaD =
        layer.parameter("pvera_lambda_d", AdaptedLinear.filled(dInitial, 2L * rank));
    Expression both = layer.x().dropout(dropout).matmul(shared.a().transposed()).times(lambdaD);
    Expression mean = both.sliced(-1, 0, rank);
    Expression logVariance = both.sliced(-1, rank, 2L * rank);
    Expression drawn = mean.plus(logVariance.times(0.5).exp().times(mean.trainingNoise()));
    Expression update = drawn.matmul(shared.b().transposed()).times(lambdaB);
    return layer.y().plus(update);
  }
}
