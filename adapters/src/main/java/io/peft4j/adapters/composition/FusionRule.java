package io.peft4j.adapters.composition;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.PenalizedObjective;
import io.peft4j.graph.GraphEditor;
import io.peft4j.task.Objective;
import io.peft4j.train.StepRule;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Adds 0.01 Σ (V − I)² over the value layers of a fusion to the loss, which keeps the mixture close
 * to what the adapters give (Pfeiffer et al. 2021, arXiv 2005.00247).
 *
 * @param values their initializers, each [hidden, hidden]
 */
record FusionRule(List<String> values, int hidden) implements StepRule {
  private static final double WEIGHT = 0.01;
  private static final String NAME = "fusion regularization " + WEIGHT;

  /** The rule of a fusion; none without value layers, or where it is not asked for. */
  static StepRule of(Mixing mixing, AttachedAdapter adapter) {
    if (!mixing.regularization() || !mixing.value()) {
      return NONE;
    }
    List<String> values =
        adapter.tensors().stream()
            .filter(tensor -> MixingLayer.isValue(tensor.parameter()))
            .map(AdapterTensor::initializer)
            .toList();
    long hidden = adapter.graph().initializer(values.get(0)).dim(0);
    return new FusionRule(values, Math.toIntExact(hidden));
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public Set<String> owned() {
    return Set.of();
  }

  @Override
  public Objective judging(Objective objective) {
    return new PenalizedObjective(objective, NAME, this::penalty);
  }

  private @Nullable Expression penalty(GraphEditor editor) {
    String identity = editor.constant("fusion.identity", AdaptedLinear.identity(hidden));
    Expression sum = null;
    for (String value : values) {
      Expression gap =
          Expression.of(editor, value, "regularization", value)
              .minus(Expression.of(editor, value, "regularization", identity));
      Expression part = gap.times(gap).reshaped(-1).sum(0, false).times(WEIGHT);
      sum = sum == null ? part : sum.plus(part);
    }
    return sum;
  }
}
