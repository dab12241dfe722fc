package io.peft4j.adapters.osf;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.math.Svd;
import java.util.List;

/**
 * OSF (Nayak et al., arXiv 2504.07097): W = U S Vᵀ is split; the leading directions stay, the rest
 * trains as U_low, S_low, V_low, their gradients projected so that they stay orthogonal to the
 * leading ones. The model starts unchanged.
 *
 * @param rank leading directions that stay; 0 for half of them
 */
public record Osf(int rank, Targets targets, List<String> modulesToSave) implements LinearMethod {

  public Osf {
    Checks.atLeast("rank", rank, 0);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** OSF of half of the directions on the feed-forward blocks. */
  public static Osf standard() {
    return new Osf(0, Targets.feedForward(), List.of());
  }

  public Osf on(Targets newTargets) {
    return new Osf(rank, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "osf";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    Svd svd = Svd.of(layer.weightMatrix());
    int all = svd.singular().length;
    int high = rank == 0 ? all / 2 : Math.min(rank, all - 1);
    Matrix u = svd.u().columns(high, all);
    Matrix v = svd.vTransposed().rows(high, all);
    double[] singular = new double[all - high];
    System.arraycopy(svd.singular(), high, singular, 0, singular.length);
    Expression kept =
        layer.constant("osf_high", svd.truncated(high).product().toTensor(DType.FLOAT32));
    Expression left =
        projected(
            layer.parameter("osf_svd_params.U_low", u.toTensor(DType.FLOAT32)),
            layer.constant(
                "osf_left", complement(svd.u().columns(0, high)).toTensor(DType.FLOAT32)),
            true);
    Expression scales =
        layer.parameter(
            "osf_svd_params.S_low",
            Tensor.ofDoubles(new long[] {singular.length}, singular).cast(DType.FLOAT32));
    Expression right =
        projected(
            layer.parameter("osf_svd_params.V_low", v.toTensor(DType.FLOAT32)),
            layer.constant(
                "osf_right",
                complement(svd.vTransposed().rows(0, high).transposed()).toTensor(DType.FLOAT32)),
            false);
    return layer.withWeight(kept.plus(left.times(scales).matmul(right)));
  }

  /** I − H Hᵀ. */
  private static Matrix complement(Matrix high) {
    return Matrix.identity(high.rows()).minus(high.times(high.transposed()));
  }

  /** The same value, whose gradient is projected. */
  private static Expression projected(Expression factor, Expression projection, boolean left) {
    Expression fixed = factor.detached();
    Expression change = factor.minus(fixed);
    return fixed.plus(left ? projection.matmul(change) : change.matmul(projection));
  }
}
