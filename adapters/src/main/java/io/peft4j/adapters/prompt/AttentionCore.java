package io.peft4j.adapters.prompt;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.site.AttentionSite;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The inside of an attention: softmax(q kᵀ + mask) v over heads.
 *
 * @param queries where queries pass, after everything that is done to them by position
 * @param keys where keys pass, likewise
 * @param values where values pass
 * @param masks what masks the scores
 */
record AttentionCore(Passage queries, Passage keys, Passage values, List<Mask> masks) {

  /**
   * A mask of scores.
   *
   * @param node Add or Where
   * @param input which of its inputs is the mask
   */
  record Mask(Node node, int input) {
    String value() {
      return node.requiredInput(input);
    }
  }

  /**
   * A value with one axis each for batch, heads, sequence and width, in some order.
   *
   * @param value its name
   * @param user the node that takes it on towards the product
   * @param order for the axes batch, heads, sequence, width: where each lies
   */
  record Passage(String value, Node user, List<Integer> order) {
    int sequenceAxis() {
      return order.get(2);
    }
  }

  /**
   * Finds it behind a site.
   *
   * @throws UnsupportedModelException if the graph's form is not known, by path
   */
  static AttentionCore of(GraphView view, AttentionSite site) {
    Node context = back(view, site.output().input(), "MatMul");
    Node softmax = context == null ? null : back(view, context.requiredInput(0), "Softmax");
    if (context == null || softmax == null) {
      throw unknown(site);
    }
    List<Mask> masks = new ArrayList<>();
    String scores = softmax.requiredInput(0);
    Node product = null;
    while (product == null) {
      Node node = view.producer(scores);
      if (node == null || !node.domain().isEmpty()) {
        throw unknown(site);
      }
      switch (node.op()) {
        case "MatMul" -> product = node;
        case "Add" -> {
          int own = leadsToProduct(view, node.requiredInput(0)) ? 0 : 1;
          masks.add(new Mask(node, 1 - own));
          scores = node.requiredInput(own);
        }
        case "Where" -> {
          masks.add(new Mask(node, 0));
          scores = node.requiredInput(Double.isNaN(view.scalar(node.input(1))) ? 1 : 2);
        }
        case "Mul", "Div", "Cast", "Identity" ->
            scores = node.requiredInput(leadsToProduct(view, node.requiredInput(0)) ? 0 : 1);
        default -> throw unknown(site);
      }
    }
    // The product reads keys as [batch, heads, width, sequence], the other one values untransposed.
    Passage queries = passage(view, product, 0, List.of(0, 1, 2, 3));
    Passage keys = passage(view, product, 1, List.of(0, 1, 3, 2));
    Passage values = passage(view, context, 1, List.of(0, 1, 2, 3));
    return new AttentionCore(queries, keys, values, List.copyOf(masks));
  }

  private static UnsupportedModelException unknown(AttentionSite site) {
    return new UnsupportedModelException(
        "the attention '%s' is not written as softmax(q kᵀ + mask) v, the form in which keys can be added; export the model with eager attention"
            .formatted(site.path()));
  }

  /** The nearest node of an operator before a value, through what only arranges it. */
  private static @Nullable Node back(GraphView view, String value, String op) {
    String current = value;
    while (true) {
      Node node = view.producer(current);
      if (node == null || node.is(op)) {
        return node;
      }
      switch (node.op()) {
        case "Reshape", "Transpose", "Cast", "Identity", "Dropout", "Where", "Add", "Slice" ->
            current = node.op().equals("Where") ? node.requiredInput(2) : node.requiredInput(0);
        default -> {
          return null;
        }
      }
    }
  }

  private static boolean leadsToProduct(GraphView view, String value) {
    String current = value;
    for (int steps = 0; steps < 8; steps++) {
      Node node = view.producer(current);
      if (node == null) {
        return false;
      }
      switch (node.op()) {
        case "MatMul" -> {
          return true;
        }
        case "Add", "Mul", "Div", "Cast", "Identity" -> current = node.requiredInput(0);
        case "Where" ->
            current = node.requiredInput(Double.isNaN(view.scalar(node.input(1))) ? 1 : 2);
        default -> {
          return false;
        }
      }
    }
    return false;
  }

  /**
   * Follows keys or values back from their product to the point where all that follows is order and
   * scale, so that what is added there is ordered and scaled alike.
   */
  private static Passage passage(
      GraphView view, Node product, int input, List<Integer> productOrder) {
    List<Integer> order = new ArrayList<>(productOrder);
    String value = product.requiredInput(input);
    Node user = product;
    while (true) {
      Node node = view.producer(value);
      if (node == null || !node.domain().isEmpty()) {
        return new Passage(value, user, List.copyOf(order));
      }
      switch (node.op()) {
        case "Transpose" -> {
          long[] permutation = node.intsAttribute("perm");
          if (permutation == null || permutation.length != 4) {
            return new Passage(value, user, List.copyOf(order));
          }
          // Axis i of the output is axis permutation[i] of the input.
          order.replaceAll(axis -> (int) permutation[axis]);
          value = node.requiredInput(0);
          user = node;
        }
        case "Mul", "Div" -> {
          if (!isScalar(view, node.requiredInput(1), 0)) {
            return new Passage(value, user, Collections.unmodifiableList(order));
          }
          value = node.requiredInput(0);
          user = node;
        }
        case "Cast", "Identity" -> {
          value = node.requiredInput(0);
          user = node;
        }
        default -> {
          return new Passage(value, user, List.copyOf(order));
        }
      }
    }
  }

  /** Whether a value is one number, given or made of shapes. */
  private static boolean isScalar(GraphView view, String value, int depth) {
    if (!Double.isNaN(view.scalar(value))) {
      return true;
    }
    Node node = view.producer(value);
    if (node == null || depth > 8) {
      return false;
    }
    return switch (node.op()) {
      case "Shape" -> true;
      case "Sqrt", "Cast", "Div", "Reciprocal", "Gather", "Slice", "Pow", "Constant", "Squeeze" ->
          node.inputs().isEmpty()
              || isScalar(view, node.requiredInput(0), depth + 1)
              || view.constant(node.requiredInput(0)) != null;
      default -> false;
    };
  }
}
