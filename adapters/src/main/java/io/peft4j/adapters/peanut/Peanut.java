package io.peft4j.adapters.peanut;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/**
 * PEANuT (arXiv 2410.01870): the update is s f(Wᵀ Aᵀ) Bᵀ, transposed, with an activation f and
 * further layers of encoders and decoders (with residuals) between. B starts at zero, so that the
 * model starts unchanged.
 *
 * @param rank r
 * @param depth pairs of encoder and decoder
 * @param activation f
 * @param scaling s
 */
public record Peanut(
    int rank,
    int depth,
    Activation activation,
    double scaling,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  /** The activations. */
  public enum Activation {
    RELU,
    TANH,
    SIGMOID,
    SILU;

    Expression of(Expression x) {
      return switch (this) {
        case RELU -> x.relu();
        case TANH -> x.tanh();
        case SIGMOID -> x.sigmoid();
        case SILU -> x.times(x.sigmoid());
      };
    }
  }

  public Peanut {
    Checks.atLeast("rank", rank, 1);
    Checks.atLeast("depth", depth, 0);
    Checks.positive("scaling", scaling);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** PEANuT of a rank without further layers on the feed-forward blocks. */
  public static Peanut rank(int rank) {
    return new Peanut(rank, 0, Activation.RELU, 1, Targets.feedForward(), List.of());
  }

  public Peanut on(Targets newTargets) {
    return new Peanut(rank, depth, activation, scaling, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "peanut";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    Expression a = layer.parameter("peanut_A.weight", layer.kaiming(rank, layer.out()));
    Expression b = layer.parameter("peanut_B.weight", AdaptedLinear.filled(0, layer.out(), rank));
    Expression inner = activation.of(layer.weight().transposed().matmul(a.transposed())); // [in, r]
    Deque<Expression> residuals = new ArrayDeque<>();
    for (int i = 0; i < depth; i++) {
      residuals.push(inner);
      inner = activation.of(inner.matmul(square(layer, "peanut_encoders", i).transposed()));
    }
    for (int i = 0; i < depth; i++) {
      inner =
          activation
              .of(inner.matmul(square(layer, "peanut_decoders", i).transposed()))
              .plus(residuals.pop());
    }
    Expression update = inner.matmul(b.transposed()).times(scaling); // [in, out]
    return layer.y().plus(layer.x().matmul(update));
  }

  private Expression square(AdaptedLinear layer, String part, int index) {
    return layer.parameter(part + "." + index + ".weight", layer.kaiming(rank, rank));
  }
}
