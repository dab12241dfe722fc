package io.peft4j.adapters.hira;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.adapters.linear.Patterns;
import java.util.List;
import java.util.Map;

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
  public Expression adapt(AdaptedLinear layer) {
    int r = Patterns.pick(rankPattern, layer.path(), rank);
    Expression a = layer.parameter("hira_A", layer.kaiming(r, layer.in()));
    Expression b = layer.parameter("hira_B", AdaptedLinear.filled(0, layer.out(), r));
    Expression update = layer.weight().times(b.matmul(a));
    return layer.y().plus(layer.x().dropout(dropout).matmul(update.transposed()));
  }
}
