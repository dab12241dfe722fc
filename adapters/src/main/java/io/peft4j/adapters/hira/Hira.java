package io.peft4j.adapters.hira;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.Kernels;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.adapters.linear.Patterns;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * HiRA (Huang et al., ICLR 2025): y = x (W ⊙ (1 + B A))ᵀ + b, an update of high rank out of two
 * small matrices. A starts as LoRA's does and B at zero, so that the model starts unchanged.
 *
 * @param rank r
 * @param dropout share of the input that is dropped before the update
 * @param rankPattern other ranks, by expressions that match the end of a module's path
 */
public record Hira(
    int rank,
    double dropout,
    Targets targets,
    Map<String, Integer> rankPattern,
    List<String> modulesToSave)
    implements LinearMethod {

  public Hira {
    Checks.atLeast("rank", rank, 1);
    Checks.fraction("dropout", dropout);
    rankPattern = Patterns.ranks(rankPattern);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** HiRA of a rank on the feed-forward blocks. */
  public static Hira rank(int rank) {
    return new Hira(rank, 0, Targets.feedForward(), Map.of(), List.of());
  }

  public Hira on(Targets newTargets) {
    return new Hira(rank, dropout, newTargets, rankPattern, modulesToSave);
  }

  @Override
  public String name() {
    return "hira";
  }

  @Override
  public Set<Integer> kernelAxes() {
    return Set.of(1, 2);
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int r = Patterns.pick(rankPattern, layer.path(), rank);
    Kernels kernels = layer.kernels();
    Tensor start = layer.kaiming(r, layer.in());
    Expression product;
    if (kernels == null) {
      Expression a = layer.parameter("hira_A", start);
      Expression b = layer.parameter("hira_B", AdaptedLinear.filled(0, layer.out(), r));
      product = b.matmul(a);
    } else {
      kernels.requireOneGroup(name());
      Expression a = layer.parameter("hira_A", start.reshaped(kernels.shape(r)));
      Tensor zeros = AdaptedLinear.filled(0, kernels.points(layer.out(), r));
      Expression b = layer.parameter("hira_B", zeros);
      product = b.reshaped(layer.out(), r).matmul(a.reshaped(r, layer.in()));
    }
    Expression update = layer.weight().times(product);
    return layer.y().plus(layer.applied(layer.x().dropout(dropout), update));
  }
}
