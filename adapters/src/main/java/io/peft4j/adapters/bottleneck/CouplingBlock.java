package io.peft4j.adapters.bottleneck;

import io.peft4j.adapters.compose.Attachment;

/** A change of features, in two halves, that can be taken back. */
abstract class CouplingBlock {
  final Attachment at;
  final String scope;
  final int hidden;
  final int first;
  final int second;

  private CouplingBlock(Attachment at) {
    this.at = at;
    scope = "invertible_adapters." + at.adapter();
    hidden = at.hiddenSize();
    first = hidden / 2;
    second = hidden - first;
  }

  static CouplingBlock of(Coupling coupling, String nonLinearity, Attachment at) {
    return switch (coupling.form()) {
      case NICE -> new Nice(coupling, nonLinearity, at);
      case GLOW -> new Glow(coupling, nonLinearity, at);
    };
  }

  /** [..., hidden] to [..., hidden]. */
  abstract String forward(String x);

  /** What {@link #forward} made y of. */
  abstract String inverse(String y);

  final String firstHalf(String x) {
    return at.slice(scope, x, -1, 0, first);
  }

  final String secondHalf(String x) {
    return at.slice(scope, x, -1, first, hidden);
  }

  final String joined(String first, String second) {
    return at.joined(scope, -1, first, second);
  }

  /** y₁ = x₁ + F(x₂), y₂ = x₂ + G(y₁). */
  private static final class Nice extends CouplingBlock {
    private final CouplingNetwork f;
    private final CouplingNetwork g;

    Nice(Coupling coupling, String nonLinearity, Attachment at) {
      super(at);
      double reduction = coupling.reduction();
      f = new CouplingNetwork(at, "F", nonLinearity, second, first, reduction);
      g = new CouplingNetwork(at, "G", nonLinearity, first, second, reduction);
    }

    @Override
    String forward(String x) {
      String x2 = secondHalf(x);
      String y1 = at.node(scope, "Add", firstHalf(x), f.add(x2));
      return joined(y1, at.node(scope, "Add", x2, g.add(y1)));
    }

    @Override
    String inverse(String y) {
      String y1 = firstHalf(y);
      String x2 = at.node(scope, "Sub", secondHalf(y), g.add(y1));
      return joined(at.node(scope, "Sub", y1, f.add(x2)), x2);
    }
  }

  /**
   * y₁ = e(s₂) x₁ + t₂ with [s₂, t₂] = S₂(x₂), y₂ = e(s₁) x₂ + t₁ with [s₁, t₁] = S₁(y₁), where
   * e(s) = exp(0.636 c atan(s / c)) stays within exp(±c).
   *
   * <p>AdapterHub's library stores these tensors and inverts by these formulas, but its own way
   * forward fails for every model: it reads x itself for S₂(x₂), and cuts along the sequence.
   */
  private static final class Glow extends CouplingBlock {
    private static final double CLAMP = 5;
    private static final double ALMOST_TWO_BY_PI = 0.636;

    private final CouplingNetwork s1;
    private final CouplingNetwork s2;

    Glow(Coupling coupling, String nonLinearity, Attachment at) {
      super(at);
      double reduction = coupling.reduction();
      s1 = new CouplingNetwork(at, "s1", nonLinearity, first, 2 * second, reduction);
      s2 = new CouplingNetwork(at, "s2", nonLinearity, second, 2 * first, reduction);
    }

    @Override
    String forward(String x) {
      String x2 = secondHalf(x);
      Change change2 = new Change(s2.add(x2), first);
      String y1 = change2.forward(firstHalf(x));
      return joined(y1, new Change(s1.add(y1), second).forward(x2));
    }

    @Override
    String inverse(String y) {
      String y1 = firstHalf(y);
      String x2 = new Change(s1.add(y1), second).inverse(secondHalf(y));
      return joined(new Change(s2.add(x2), first).inverse(y1), x2);
    }

    /** e(s) x + t. */
    private final class Change {
      private final String factor;
      private final String shift;

      /**
       * @param both s and t, [..., 2 size]
       */
      Change(String both, int size) {
        String s = at.slice(scope, both, -1, 0, size);
        shift = at.slice(scope, both, -1, size, 2L * size);
        String clamp = at.number(scope + ".clamp", CLAMP);
        String angle = at.node(scope, "Atan", at.node(scope, "Div", s, clamp));
        String range = at.number(scope + ".range", CLAMP * ALMOST_TWO_BY_PI);
        factor = at.node(scope, "Exp", at.node(scope, "Mul", angle, range));
      }

      String forward(String x) {
        return at.node(scope, "Add", at.node(scope, "Mul", factor, x), shift);
      }

      String inverse(String y) {
        return at.node(scope, "Div", at.node(scope, "Sub", y, shift), factor);
      }
    }
  }
}
