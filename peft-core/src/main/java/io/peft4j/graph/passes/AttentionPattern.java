package io.peft4j.graph.passes;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * MatMul(Dropout(Softmax(scale · q kᵀ + mask)), v), with the dropout, the scale and the mask each
 * there or not.
 */
final class AttentionPattern {
  private AttentionPattern() {}

  static @Nullable Node match(GraphView view, Node context) {
    if (!context.is("MatMul")) {
      return null;
    }
    double dropout = 0;
    Node weights = view.producer(context.input(0));
    if (weights != null && weights.is("Dropout")) {
      dropout = view.scalar(weights.input(1));
      weights = alone(view, weights) ? view.producer(weights.input(0)) : null;
    }
    boolean softmax =
        weights != null
            && weights.is("Softmax")
            && weights.intAttribute("axis", -1) == -1
            && alone(view, weights);
    return softmax && weights != null && !Double.isNaN(dropout)
        ? scores(view, context, weights.requiredInput(0), dropout)
        : null;
  }

  private static boolean alone(GraphView view, Node node) {
    return view.onlyConsumer(node.output()) != null;
  }

  private static @Nullable Node scores(
      GraphView view, Node context, String scores, double dropout) {
    Node add = view.producer(scores, "Add");
    if (add == null) {
      return attention(view, context, scores, null, dropout);
    }
    Node first = attention(view, context, add.requiredInput(0), add.requiredInput(1), dropout);
    return first != null
        ? first
        : attention(view, context, add.requiredInput(1), add.requiredInput(0), dropout);
  }

  private static @Nullable Node attention(
      GraphView view, Node context, String product, @Nullable String mask, double dropout) {
    double scale = 1;
    Node node = view.producer(product);
    if (node != null && node.is("Div")) {
      scale = 1 / view.scalar(node.input(1));
      node = view.producer(node.input(0));
    } else if (node != null && node.is("Mul")) {
      scale = view.scalar(node.input(1));
      node = view.producer(node.input(0));
    }
    if (node == null || !node.is("MatMul") || Double.isNaN(scale) || !alone(view, node)) {
      return null;
    }
    List<String> inputs = new ArrayList<>(List.of(node.requiredInput(0), node.requiredInput(1)));
    inputs.add(context.requiredInput(1));
    if (mask != null) {
      inputs.add(mask);
    }
    return Fusion.own(
        context,
        "Attention",
        inputs,
        Map.of("scale", Attribute.of((float) scale), "dropout", Attribute.of((float) dropout)));
  }
}
