package io.peft4j.adapters.lokr;

import io.peft4j.RecipeException;
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
 * LoKr (LyCORIS, Yeh et al., arXiv 2309.14859): y = x Wᵀ + b + s x (w1 ⊗ w2)ᵀ with s = alpha / r.
 * Both sizes of W are split into two factors, the smaller ones for w1; either factor is itself a
 * product of rank r where that saves weights. w1 starts at zero, so that the model starts
 * unchanged.
 *
 * @param rank r
 * @param alpha numerator of the scale
 * @param decomposeBoth whether w1 may be a low-rank product too
 * @param decomposeFactor what the smaller factor of a size shall be; -1 for near its square root
 * @param rankDropout share of the update's rows that are dropped in training
 * @param moduleDropout how often a layer's whole update is dropped in training
 * @param useEffectiveConv2d whether w2 of kernels larger than 1 is made in {@link Tucker}'s form
 *     where it is split
 * @param rankPattern other ranks, by expressions that match the end of a module's path
 * @param alphaPattern other alphas, likewise
 */
public record Lokr(
    int rank,
    double alpha,
    boolean decomposeBoth,
    int decomposeFactor,
    double rankDropout,
    double moduleDropout,
    boolean useEffectiveConv2d,
    Targets targets,
    Map<String, Integer> rankPattern,
    Map<String, Double> alphaPattern,
    List<String> modulesToSave)
    implements LinearMethod {

  public Lokr {
    Checks.atLeast("rank", rank, 1);
    Checks.positive("alpha", alpha);
    Checks.fraction("rankDropout", rankDropout);
    Checks.fraction("moduleDropout", moduleDropout);
    if (decomposeFactor == 0 || decomposeFactor < -1) {
      throw new RecipeException(
          "decomposeFactor must be -1 or a positive number, was " + decomposeFactor);
    }
    rankPattern = Patterns.ranks(rankPattern);
    alphaPattern = Patterns.copy(alphaPattern);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** LoKr of a rank on the feed-forward blocks, alpha like the rank. */
  public static Lokr rank(int rank) {
    return new Lokr(
        rank, rank, false, -1, 0, 0, false, Targets.feedForward(), Map.of(), Map.of(), List.of());
  }

  public Lokr on(Targets newTargets) {
    return new Lokr(
        rank,
        alpha,
        decomposeBoth,
        decomposeFactor,
        rankDropout,
        moduleDropout,
        useEffectiveConv2d,
        newTargets,
        rankPattern,
        alphaPattern,
        modulesToSave);
  }

  /** Likewise, with the form of larger kernels. */
  public Lokr effectiveConv2d(boolean effective) {
    return new Lokr(
        rank,
        alpha,
        decomposeBoth,
        decomposeFactor,
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
    return "lokr";
  }

  @Override
  public Set<Integer> kernelAxes() {
    return Set.of(2);
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int r = Patterns.pick(rankPattern, layer.path(), rank);
    double scale = Patterns.pick(alphaPattern, layer.path(), alpha) / r;
    int[] out = factors(layer.out(), decomposeFactor);
    Kernels kernels = layer.kernels();
    int size = kernels == null ? 1 : kernels.size();
    int[] in = factors(layer.in() / size, decomposeFactor);
    boolean splitFirst = decomposeBoth && 2 * r < Math.max(out[0], in[0]);
    boolean splitSecond = 2 * r < Math.max(out[1], in[1]);
    Expression w1 =
        splitFirst
            ? layer
                .parameter("lokr_w1_a", AdaptedLinear.filled(0, out[0], r))
                .matmul(layer.parameter("lokr_w1_b", layer.kaiming(r, in[0])))
            : layer.parameter("lokr_w1", AdaptedLinear.filled(0, out[0], in[0]));
    Expression w2 = second(layer, splitSecond, r, out[1], in[1]);
    Expression blocks =
        w1.reshaped(out[0], 1, in[0], 1).times(w2.reshaped(1, out[1], 1, (long) in[1] * size));
    Expression update = blocks.reshaped(layer.out(), layer.in()).times(scale);
    return layer.plusUpdate(update, rankDropout, moduleDropout);
  }

  /** w2 as a matrix [out, in · kernel], stored as kernels [out, in, ...] where it is whole. */
  private Expression second(AdaptedLinear layer, boolean split, int r, int out, int in) {
    Kernels kernels = layer.kernels();
    int size = kernels == null ? 1 : kernels.size();
    if (split && kernels != null && useEffectiveConv2d && size > 1) {
      Expression core = layer.parameter("lokr_t2", Tucker.start(layer, kernels, r));
      Expression rows = layer.parameter("lokr_w2_a", layer.kaiming(r, out));
      Expression columns = layer.parameter("lokr_w2_b", layer.kaiming(r, in));
      return Tucker.matrix(core, rows, columns, r, out, in, size);
    }
    if (split) {
      return layer
          .parameter("lokr_w2_a", layer.kaiming(out, r))
          .matmul(layer.parameter("lokr_w2_b", layer.kaiming(r, (long) in * size)));
    }
    Tensor start = layer.kaiming(out, (long) in * size);
    return layer.parameter(
        "lokr_w2", kernels == null ? start : start.reshaped(kernels.shape(out, in)));
  }

  /**
   * A size as a product of two, the smaller first.
   *
   * @param wanted the first factor if it divides the size; else the largest that is no larger and
   *     brings the two closest; -1 for no limit
   */
  static int[] factors(int size, int wanted) {
    if (wanted > 0 && size % wanted == 0) {
      return new int[] {wanted, size / wanted};
    }
    int limit = wanted == -1 ? size : wanted;
    int best = 1;
    for (int first = 2; first <= limit && first <= size / first; first++) {
      if (size % first == 0) {
        best = first;
      }
    }
    return new int[] {best, size / best};
  }
}
