package io.peft4j.adapters.beft;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import java.util.List;

/**
 * BEFT: a trained vector is added to the outputs of the targets, by default the value projections.
 * It starts at zero, so that the model starts unchanged.
 */
public record Beft(Targets targets, List<String> modulesToSave) implements LinearMethod {

  public Beft {
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** BEFT on the attention blocks. */
  public static Beft standard() {
    return new Beft(Targets.attention(), List.of());
  }

  public Beft on(Targets newTargets) {
    return new Beft(newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "beft";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    Expression bias = layer.parameter("beft_bias", AdaptedLinear.filled(0, 1, layer.out()));
    return layer.y().plus(bias.reshaped(layer.out()));
  }
}
