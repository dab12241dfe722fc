package io.peft4j.graph.passes;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * GELU as exporters write it: x · 0.5 · (1 + erf(x / √2)), or with tanh(√(2/π) (x + 0.044715 x³))
 * for erf; the factors in any order.
 */
final class GeluPattern {
  private static final double TOLERANCE = 1e-4;

  private GeluPattern() {}

  static @Nullable Node match(GraphView view, Node node) {
    if (!node.is("Mul")) {
      return null;
    }
    for (Node gate : gates(view, node)) {
      Node inner = gateInner(view, gate);
      String x =
          inner == null ? null : inner.is("Erf") ? erfInput(view, inner) : tanhInput(view, inner);
      if (inner == null || x == null) {
        continue;
      }
      List<String> factors = factors(view, node, x);
      double scale = 1;
      int found = 0;
      boolean exact = true;
      for (String factor : factors) {
        double number = view.scalar(factor);
        if (!Double.isNaN(number)) {
          scale *= number;
        } else if (factor.equals(x) || factor.equals(gate.output())) {
          found++;
        } else {
          exact = false;
        }
      }
      boolean once = factors.indexOf(x) == factors.lastIndexOf(x);
      if (exact && once && found == 2 && near(scale, 0.5)) {
        String kind = inner.is("Erf") ? "none" : "tanh";
        return Fusion.standard(node, "Gelu", List.of(x), Map.of("approximate", Attribute.of(kind)));
      }
    }
    return null;
  }

  private static boolean near(double number, double target) {
    return Math.abs(number - target) <= TOLERANCE * Math.abs(target);
  }

  /** The Add nodes among the factors of a product of at most three levels. */
  private static List<Node> gates(GraphView view, Node product) {
    List<Node> gates = new ArrayList<>();
    for (String factor : factors(view, product, "")) {
      Node add = view.producer(factor, "Add");
      if (add != null) {
        gates.add(add);
      }
    }
    return gates;
  }

  /** The Erf or Tanh node of 1 + f(u). */
  private static @Nullable Node gateInner(GraphView view, Node add) {
    for (int i = 0; i < 2; i++) {
      Node inner = view.producer(add.input(i));
      boolean fits = inner != null && (inner.is("Erf") || inner.is("Tanh"));
      if (fits && view.scalar(add.input(1 - i)) == 1) {
        return inner;
      }
    }
    return null;
  }

  private static @Nullable String erfInput(GraphView view, Node erf) {
    Node div = view.producer(erf.input(0), "Div");
    if (div != null) {
      return near(view.scalar(div.input(1)), Math.sqrt(2)) ? div.input(0) : null;
    }
    Node mul = view.producer(erf.input(0), "Mul");
    for (int i = 0; mul != null && i < 2; i++) {
      if (near(view.scalar(mul.input(i)), Math.sqrt(0.5))) {
        return mul.input(1 - i);
      }
    }
    return null;
  }

  private static @Nullable String tanhInput(GraphView view, Node tanh) {
    Node mul = view.producer(tanh.input(0), "Mul");
    for (int i = 0; mul != null && i < 2; i++) {
      Node add = view.producer(mul.input(1 - i), "Add");
      if (add == null || !near(view.scalar(mul.input(i)), Math.sqrt(2 / Math.PI))) {
        continue;
      }
      for (int j = 0; j < 2; j++) {
        String x = add.input(j);
        if (x != null && isCubic(view, add.input(1 - j), x)) {
          return x;
        }
      }
    }
    return null;
  }

  /** Whether a value is 0.044715 x³. */
  private static boolean isCubic(GraphView view, @Nullable String value, String x) {
    Node mul = view.producer(value, "Mul");
    if (mul == null) {
      return false;
    }
    double scale = 1;
    int power = 0;
    for (String factor : factors(view, mul, x)) {
      double number = view.scalar(factor);
      Node pow = view.producer(factor, "Pow");
      if (!Double.isNaN(number)) {
        scale *= number;
      } else if (factor.equals(x)) {
        power++;
      } else if (pow != null
          && x.equals(pow.input(0))
          && !Double.isNaN(view.scalar(pow.input(1)))) {
        power += (int) view.scalar(pow.input(1));
      } else {
        return false;
      }
    }
    return power == 3 && near(scale, 0.044715);
  }

  /** The factors of a product, looking through products up to the value {@code stop}. */
  private static List<String> factors(GraphView view, Node product, String stop) {
    List<String> result = new ArrayList<>();
    collect(view, product, stop, 3, result);
    return result;
  }

  private static void collect(
      GraphView view, Node product, String stop, int depth, List<String> into) {
    for (String factor : product.inputs()) {
      Node deeper = factor.equals(stop) || depth == 1 ? null : view.producer(factor, "Mul");
      if (deeper == null) {
        into.add(factor);
      } else {
        collect(view, deeper, stop, depth - 1, into);
      }
    }
  }
}
