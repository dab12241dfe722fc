package io.peft4j.adapters.loha;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.Kernels;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.adapters.linear.Patterns;
import io.peft4j.adapters.linear.Tucker;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * LoHa (Hyeon-Woo et al., FedPara, arXiv 2108.06098; LyCORIS): y = x Wᵀ + b + s x ((w1a w1b) ⊙ (w2a
 * w2b))ᵀ with s = alpha / r, an update of rank up to r². w2b starts at zero, so that the model
 * starts unchanged.
 *
 * @param rank r
 * @param alpha numerator of the scale
 * @param rankDropout share of the update's rows that are dropped in training
 * @param moduleDropout how often a layer's whole update is dropped in training
 * @param useEffectiveConv2d whether kernels larger than 1 are made in {@link Tucker}'s form
 * @param rankPattern other ranks, by expressions that match the end of a module's path
 * @param alphaPattern other alphas, likewise
 */
public record Loha(
    int rank,
    double alpha,
    double rankDropout,
    double moduleDropout,
    boolean useEffectiveConv2d,
    Targets targets,
    Map<String, Integer> rankPattern,
    Map<String, Double> alphaPattern,
    List<String> modulesToSave)
    implements LinearMethod {

  public Loha {
    Checks.atLeast("rank", rank, 1);
    Checks.positive("alpha", alpha);
    Checks.fraction("rankDropout", rankDropout);
    Checks.fraction("moduleDropout", moduleDropout);
    rankPattern = Patterns.ranks(rankPattern);
    alphaPattern = Patterns.copy(alphaPattern);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** LoHa of a rank on the feed-forward blocks, alpha like the rank. */
  public static Loha rank(int rank) {
    return new Loha(rank, rank, 0, 0, false, Targets.feedForward(), Map.of(), Map.of(), List.of());
  }

  public Loha on(Targets newTargets) {
    return new Loha(
        rank,
        alpha,
        rankDropout,
        moduleDropout,
        useEffectiveConv2d,
        newTargets,
        rankPattern,
        alphaPattern,
        modulesToSave);
  }

  /** Likewise, with the form of larger kernels. */
  public Loha effectiveConv2d(boolean effective) {
    return new Loha(
        rank,
        alpha,
        rankDropout,
        moduleDropout,
        effective,
        targets,
        rankPattern,
        alphaPattern,
        modulesToSave);
  }

  @Override
  public String name() {
    return "loha";
  }

  @Override
  public Set<Integer> kernelAxes() {
    return Set.of(1, 2);
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int r = Patterns.pick(rankPattern, layer.path(), rank);
    double scale = Patterns.pick(alphaPattern, layer.path(), alpha) / r;
    Kernels kernels = layer.kernels();
    if (useEffectiveConv2d && kernels != null && kernels.size() > 1) {
      Expression first = tucker(layer, kernels, r, "1", layer.kaiming(r, kernels.channels()));
      Tensor zeros = AdaptedLinear.filled(0, r, kernels.channels());
      Expression second = tucker(layer, kernels, r, "2", zeros);
      Expression update = first.times(second).times(scale);
      return layer.plusUpdate(update, rankDropout, moduleDropout);
    }
    Expression w1a = layer.parameter("hada_w1_a", layer.kaiming(layer.out(), r));
    Expression w1b = layer.parameter("hada_w1_b", layer.kaiming(r, layer.in()));
    Expression w2a = layer.parameter("hada_w2_a", layer.kaiming(layer.out(), r));
    Expression w2b = layer.parameter("hada_w2_b", AdaptedLinear.filled(0, r, layer.in()));
    Expression update = w1a.matmul(w1b).times(w2a.matmul(w2b)).times(scale);
    return layer.plusUpdate(update, rankDropout, moduleDropout);
  }

  private static Expression tucker(
      AdaptedLinear layer, Kernels kernels, int r, String number, Tensor b) {
    Expression core = layer.parameter("hada_t" + number, Tucker.start(layer, kernels, r));
    Expression rows = layer.parameter("hada_w" + number + "_a", layer.kaiming(r, layer.out()));
    Expression columns = layer.parameter("hada_w" + number + "_b", b);
    return Tucker.matrix(core, rows, columns, r, layer.out(), kernels.channels(), kernels.size());
  }
}
