package io.peft4j.graph.passes;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.WeightPath;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** MatMul by a matrix, with or without the bias behind it. */
final class LinearPattern {
  private LinearPattern() {}

  static @Nullable Node match(GraphView view, Node node) {
    if (node.is("Add")) {
      for (int i = 0; i < 2; i++) {
        Node product = view.producer(node.input(i), "MatMul");
        WeightPath bias = WeightPath.of(view, node.input(1 - i));
        if (product != null
            && bias != null
            && bias.tensor().rank() == 1
            && node.equals(view.onlyConsumer(product.output()))) {
          return linear(view, node, product, node.requiredInput(1 - i));
        }
      }
      return null;
    }
    return node.is("MatMul") ? linear(view, node, node, null) : null;
  }

  private static @Nullable Node linear(
      GraphView view, Node place, Node product, @Nullable String bias) {
    Node transpose = view.producer(product.input(1), "Transpose");
    if (!isMatrix(view, product, transpose) || WeightPath.of(view, product.input(0)) != null) {
      return null;
    }
    String stored = transpose == null ? product.requiredInput(1) : transpose.requiredInput(0);
    List<String> inputs =
        bias == null
            ? List.of(product.requiredInput(0), stored)
            : List.of(product.requiredInput(0), stored, bias);
    return Fusion.own(
        place, "Linear", inputs, Map.of("inFirst", Attribute.of(transpose == null ? 1L : 0L)));
  }

  /** Whether the right side has two axes: a weight, or something whose two axes are swapped. */
  private static boolean isMatrix(GraphView view, Node product, @Nullable Node transpose) {
    WeightPath weight = WeightPath.of(view, product.input(1));
    if (weight != null) {
      return weight.tensor().rank() == 2;
    }
    return transpose != null && Arrays.equals(transpose.intsAttribute("perm"), new long[] {1, 0});
  }
}
