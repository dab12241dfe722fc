package io.peft4j.graph.passes;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.WeightPath;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Layer normalisation over the last axis, taken apart into ReduceMean, Sub, Pow, Sqrt, Div, Mul and
 * Add.
 */
final class LayerNormPattern {
  private LayerNormPattern() {}

  static @Nullable Node match(GraphView view, Node add) {
    if (!add.is("Add")) {
      return null;
    }
    for (int i = 0; i < 2; i++) {
      Node mul = view.producer(add.input(i), "Mul");
      if (mul == null || !isVector(view, add.input(1 - i))) {
        continue;
      }
      for (int j = 0; j < 2; j++) {
        Node div = view.producer(mul.input(j), "Div");
        if (div != null && isVector(view, mul.input(1 - j))) {
          Node norm =
              normalised(view, add, div, mul.requiredInput(1 - j), add.requiredInput(1 - i));
          if (norm != null) {
            return norm;
          }
        }
      }
    }
    return null;
  }

  private static boolean isVector(GraphView view, @Nullable String value) {
    WeightPath path = WeightPath.of(view, value);
    return path != null && path.tensor().rank() == 1;
  }

  private static @Nullable Node normalised(
      GraphView view, Node place, Node div, String weight, String bias) {
    Node centred = view.producer(div.input(0), "Sub");
    Node root = view.producer(div.input(1), "Sqrt");
    Node stabilised = root == null ? null : view.producer(root.input(0), "Add");
    if (centred == null
        || stabilised == null
        || !meanOf(view, centred.input(1), centred.input(0))) {
      return null;
    }
    String x = centred.requiredInput(0);
    double epsilon = view.scalar(stabilised.input(1));
    Node variance = view.producer(stabilised.input(0), "ReduceMean");
    if (Double.isNaN(epsilon) || variance == null || !overLastAxis(view, variance)) {
      return null;
    }
    Node square = view.producer(variance.input(0));
    if (square == null || !isSquareOfCentred(view, square, x)) {
      return null;
    }
    return Fusion.standard(
        place,
        "LayerNormalization",
        List.of(x, weight, bias),
        Map.of("axis", Attribute.of(-1L), "epsilon", Attribute.of((float) epsilon)));
  }

  private static boolean isSquareOfCentred(GraphView view, Node square, String x) {
    boolean squares =
        (square.is("Pow") && view.scalar(square.input(1)) == 2)
            || (square.is("Mul") && square.requiredInput(0).equals(square.input(1)));
    Node centred = squares ? view.producer(square.input(0), "Sub") : null;
    return centred != null
        && x.equals(centred.input(0))
        && meanOf(view, centred.input(1), centred.input(0));
  }

  private static boolean meanOf(GraphView view, @Nullable String mean, @Nullable String x) {
    Node node = view.producer(mean, "ReduceMean");
    return node != null && x != null && x.equals(node.input(0)) && overLastAxis(view, node);
  }

  private static boolean overLastAxis(GraphView view, Node reduce) {
    Tensor axes = view.constant(reduce.input(1));
    return axes != null
        && axes.size() == 1
        && axes.toLongs()[0] == -1
        && reduce.intAttribute("keepdims", 1) == 1;
  }
}
