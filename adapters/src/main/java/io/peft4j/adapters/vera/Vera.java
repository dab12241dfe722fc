package io.peft4j.adapters.vera;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.Tensor;
import io.peft4j.math.TorchGenerator;
import io.peft4j.site.LinearSite;
import java.util.List;
import java.util.function.ToLongFunction;

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
    int in = largest(layer, LinearSite::inFeatures);
    int out = largest(layer, LinearSite::outFeatures);
    Expression a = shared(layer, "vera_A", rank, in, 0);
    Expression b = shared(layer, "vera_B", out, rank, rank * in);
    Expression lambdaB = layer.parameter("vera_lambda_b", AdaptedLinear.filled(0, layer.out()));
    Expression lambdaD = layer.parameter("vera_lambda_d", AdaptedLinear.filled(dInitial, rank));
    Expression low =
        layer.x().dropout(dropout).matmul(a.sliced(1, 0, layer.in()).transposed()).times(lambdaD);
    Expression update = low.matmul(b.sliced(0, 0, layer.out()).transposed()).times(lambdaB);
    return layer.y().plus(update);
  }

  private static int largest(AdaptedLinear layer, ToLongFunction<LinearSite> size) {
    return Math.toIntExact(layer.all().stream().mapToLong(size).max().orElseThrow());
  }

  private Expression shared(AdaptedLinear layer, String name, int rows, int columns, int skipped) {
    return saveProjection
        ? layer.sharedStored(name, () -> projection(rows, columns, skipped))
        : layer.sharedConstant(name, () -> projection(rows, columns, skipped));
  }

  /** Kaiming-uniform numbers of one generator, B's behind A's. */
  private Tensor projection(int rows, int columns, int skipped) {
    TorchGenerator generator = new TorchGenerator(projectionPrngKey);
    generator.skip(skipped);
    float bound = (float) Math.sqrt(6.0 / columns);
    return Tensor.ofFloats(new long[] {rows, columns}, generator.uniform(rows * columns, bound));
  }
}
