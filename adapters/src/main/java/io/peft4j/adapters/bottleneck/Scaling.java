package io.peft4j.adapters.bottleneck;

import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.Tensor;

/** The factor on a bottleneck's output. */
public sealed interface Scaling {
  /** A fixed number. */
  record Fixed(double factor) implements Scaling {
    public Fixed {
      if (!Double.isFinite(factor)) {
        throw new RecipeException("scaling must be a finite number, was " + factor);
      }
    }
  }

  /** One number that trains, from 1. */
  record Learned() implements Scaling {}

  /** One number a channel that trains, from 1. */
  record Channel() implements Scaling {}

  /** Adds the factor to x [..., hidden]. */
  default String add(Attachment at, String module, String prefix, String x, int hidden) {
    String scope = module + "." + prefix + "scaling";
    if (this instanceof Fixed fixed) {
      return fixed.factor() == 1 ? x : at.node(scope, "Mul", x, at.number(scope, fixed.factor()));
    }
    Tensor ones = Attachment.filled(1, this instanceof Learned ? 1 : hidden);
    String factor = at.parameter(module, prefix + "scaling", ones);
    return at.node(scope, "Mul", x, factor);
  }
}
