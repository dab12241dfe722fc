package io.peft4j.adapters.lily;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.site.LinearSite;
import java.util.List;

/**
 * Lily (Zhong et al., arXiv 2407.09946): y = x Wᵀ + b + s (x Aᵀ) B̄, where B̄ is the mean of n
 * matrices B_e, weighted by what a router makes of x Aᵀ, on average over all rows and tokens of the
 * batch. The B_e are shared by all layers of one kind, A by so many neighbours. B starts at zero,
 * so that the model starts unchanged.
 *
 * @param rank r
 * @param strideA layers of one kind that share an A
 * @param experts n
 * @param scaling s
 */
public record Lily(
    int rank, int strideA, int experts, double scaling, Targets targets, List<String> modulesToSave)
    implements LinearMethod {

  public Lily {
    Checks.atLeast("rank", rank, 1);
    Checks.atLeast("strideA", strideA, 1);
    Checks.atLeast("experts", experts, 1);
    Checks.positive("scaling", scaling);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** Lily of a rank with two experts on the feed-forward blocks. */
  public static Lily rank(int rank) {
    return new Lily(rank, 1, 2, 1, Targets.feedForward(), List.of());
  }

  public Lily on(Targets newTargets) {
    return new Lily(rank, strideA, experts, scaling, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "lily";
  }

  @Override
  public String unmergeable() {
    return "its update depends on the input through the router";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    String kind = kind(layer.site());
    List<LinearSite> alike = layer.all().stream().filter(site -> kind(site).equals(kind)).toList();
    int block = alike.indexOf(layer.all().get(layer.index())) / strideA;
    Expression a =
        layer.sharedWith(
            kind + "." + block, "lily_A.weight", () -> layer.kaiming(rank, layer.in()));
    Expression b =
        layer.sharedWith(
            kind,
            "lily_B.weight",
            () -> AdaptedLinear.filled(0, (long) experts * rank, layer.out()));
    Expression router = layer.parameter("lily_router.weight", layer.kaiming(experts, rank));
    Expression low = layer.x().matmul(a.transposed());
    Expression shares =
        low.matmul(router.transposed()).softmax(-1).reshaped(-1, experts).mean(0, false);
    Expression mixed =
        b.reshaped(experts, rank, layer.out()).times(shares.reshaped(experts, 1, 1)).sum(0, false);
    return layer.y().plus(low.matmul(mixed).times(scaling));
  }

  /**
   * What layers that share have in common: the end of the path that targets name, and the sizes.
   */
  private String kind(LinearSite site) {
    return "%s.%dx%d".formatted(targets.endOf(site), site.outFeatures(), site.inFeatures());
  }
}
