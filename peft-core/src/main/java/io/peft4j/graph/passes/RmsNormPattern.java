package io.peft4j.graph.passes;

import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.WeightPath;
import org.jspecify.annotations.Nullable;

/**
 * RMS normalisation over the last axis (Zhang and Sennrich 2019, arXiv 1910.07467), taken apart:
 * weight · x / √(mean(x²) + ε), the division before or as a reciprocal.
 */
final class RmsNormPattern {
  private RmsNormPattern() {}

  /** The value that scales the normalised one, if this is the multiplication by it; else null. */
  static @Nullable String weight(GraphView view, Node mul) {
    if (!mul.is("Mul")) {
      return null;
    }
    for (int i = 0; i < 2; i++) {
      WeightPath weight = WeightPath.of(view, mul.input(i));
      if (weight != null && weight.tensor().rank() == 1 && isNormalised(view, mul.input(1 - i))) {
        return mul.input(i);
      }
    }
    return null;
  }

  private static @Nullable Node withoutCast(GraphView view, @Nullable String value) {
    Node node = view.producer(value);
    return node != null && node.is("Cast") ? view.producer(node.input(0)) : node;
  }

  private static boolean isNormalised(GraphView view, @Nullable String value) {
    Node node = withoutCast(view, value);
    if (node == null) {
      return false;
    }
    if (node.is("Div")) {
      return isRootMeanSquare(view, node.input(1), node.input(0));
    }
    return node.is("Mul")
        && (isReciprocal(view, node.input(1), node.input(0))
            || isReciprocal(view, node.input(0), node.input(1)));
  }

  private static boolean isReciprocal(GraphView view, @Nullable String value, @Nullable String of) {
    Node node = view.producer(value);
    if (node == null) {
      return false;
    }
    String root =
        node.is("Reciprocal")
            ? node.input(0)
            : node.is("Div") && view.scalar(node.input(0)) == 1 ? node.input(1) : null;
    return isRootMeanSquare(view, root, of);
  }

  private static boolean isRootMeanSquare(
      GraphView view, @Nullable String root, @Nullable String of) {
    Node sqrt = view.producer(root, "Sqrt");
    Node add = sqrt == null ? null : view.producer(sqrt.input(0), "Add");
    if (add == null || of == null || isCentred(view, of)) {
      return false;
    }
    Node mean = view.producer(add.input(0), "ReduceMean");
    Node other = view.producer(add.input(1), "ReduceMean");
    Node reduce = mean == null ? other : mean;
    Node square = reduce == null ? null : view.producer(reduce.input(0));
    return square != null
        && of.equals(square.input(0))
        && ((square.is("Pow") && view.scalar(square.input(1)) == 2)
            || (square.is("Mul") && of.equals(square.input(1))));
  }

  /** Whether a mean was taken off, which makes it a layer normalisation. */
  private static boolean isCentred(GraphView view, String value) {
    Node sub = view.producer(value, "Sub");
    return sub != null && view.producer(sub.input(1), "ReduceMean") != null;
  }
}
