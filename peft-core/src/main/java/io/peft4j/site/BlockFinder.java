package io.peft4j.site;

import com.google.common.base.Strings;
import com.google.common.collect.ImmutableSet;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Finds the blocks that linear layers stand in, by following values between them. */
final class BlockFinder {
  /** What may lie between the two layers of a feed-forward block. */
  private static final ImmutableSet<String> ACTIVATION =
      ImmutableSet.of(
          "Add",
          "Sub",
          "Mul",
          "Div",
          "Pow",
          "Sqrt",
          "Erf",
          "Tanh",
          "Relu",
          "Sigmoid",
          "Gelu",
          "Elu",
          "LeakyRelu",
          "Softplus",
          "Clip",
          "HardSigmoid",
          "HardSwish",
          "Mish",
          "Cast",
          "Dropout",
          "Reshape",
          "Identity");

  /** What may lie between a layer and the attention that it feeds. */
  private static final ImmutableSet<String> LAYOUT =
      ImmutableSet.of(
          "Add",
          "Sub",
          "Mul",
          "Div",
          "Neg",
          "Concat",
          "Slice",
          "Split",
          "Squeeze",
          "Unsqueeze",
          "Expand",
          "Gather",
          "Transpose",
          "Reshape",
          "Cast",
          "Dropout",
          "Identity",
          "Where");

  private static final ImmutableSet<String> TO_OUTPUT =
      ImmutableSet.of("Transpose", "Reshape", "Cast", "Identity", "Squeeze", "Flatten");

  private final GraphView view;
  private final Map<String, LinearSite> linears;

  BlockFinder(GraphView view, Map<String, LinearSite> linears) {
    this.view = view;
    this.linears = linears;
  }

  List<FeedForwardSite> feedForwards() {
    List<FeedForwardSite> residual = new ArrayList<>();
    List<FeedForwardSite> plain = new ArrayList<>();
    for (LinearSite down : linears.values()) {
      Set<String> between = new HashSet<>();
      List<LinearSite> before = before(down.input(), ACTIVATION, between);
      boolean activated =
          between.stream().anyMatch(op -> !op.equals("Reshape") && !op.equals("Add"));
      boolean feeds =
          activated
              && (before.size() == 1 || before.size() == 2)
              && before.stream().allMatch(up -> up.outFeatures() == down.inFeatures());
      if (feeds) {
        FeedForwardSite site = feedForward(before, down);
        (before.stream().allMatch(up -> up.inFeatures() == down.outFeatures()) ? residual : plain)
            .add(site);
      }
    }
    // Without a residual stream anywhere, a chain of layers is what the model is made of.
    return residual.isEmpty() ? plain : residual;
  }

  private FeedForwardSite feedForward(List<LinearSite> before, LinearSite down) {
    if (before.size() == 1) {
      return new FeedForwardSite(common(before.get(0), down), before.get(0), null, down);
    }
    boolean firstGates = isActivated(before.get(0));
    LinearSite gate = before.get(firstGates ? 0 : 1);
    LinearSite up = before.get(firstGates ? 1 : 0);
    return new FeedForwardSite(common(gate, down), up, gate, down);
  }

  /** Whether a layer's output goes into an activation, rather than straight into the product. */
  private boolean isActivated(LinearSite site) {
    return view.consumers(site.output()).stream()
        .anyMatch(n -> !n.op().equals("Mul") || view.consumers(site.output()).size() > 1);
  }

  private static String common(LinearSite a, LinearSite b) {
    String front = Strings.commonPrefix(a.path(), b.path());
    int dot = front.lastIndexOf('.');
    return dot < 0 ? front : front.substring(0, dot);
  }

  List<AttentionSite> attentions() {
    List<AttentionSite> found = new ArrayList<>();
    for (Node softmax : view.graph().nodes()) {
      if (softmax.is("Softmax")) {
        AttentionSite site = attention(softmax);
        if (site != null) {
          found.add(site);
        }
      }
    }
    return found;
  }

  private @Nullable AttentionSite attention(Node softmax) {
    Node context = consumer(softmax.output(), "MatMul");
    Node scores = producer(softmax.requiredInput(0));
    if (context == null || scores == null) {
      return null;
    }
    List<LinearSite> query = before(scores.requiredInput(0), LAYOUT, new HashSet<>());
    List<LinearSite> key = before(scores.requiredInput(1), LAYOUT, new HashSet<>());
    List<LinearSite> value = before(context.requiredInput(1), LAYOUT, new HashSet<>());
    LinearSite output = after(context.output());
    if (query.size() != 1 || key.size() != 1 || value.size() != 1 || output == null) {
      return null;
    }
    return new AttentionSite(
        common(query.get(0), output), query.get(0), key.get(0), value.get(0), output);
  }

  /** The product of two values that the scores are made of by scaling and masking. */
  private @Nullable Node producer(String scores) {
    Deque<String> open = new ArrayDeque<>(List.of(scores));
    while (!open.isEmpty()) {
      Node node = view.producer(open.pop());
      if (node == null || !node.domain().isEmpty()) {
        continue;
      }
      if (node.op().equals("MatMul")) {
        return node;
      }
      switch (node.op()) {
        case "Add", "Mul", "Div", "Cast", "Identity", "Reshape", "Max" ->
            open.addAll(node.inputs());
        case "Where" -> open.addAll(node.inputs().subList(1, 3));
        default -> {}
      }
    }
    return null;
  }

  private @Nullable Node consumer(String value, String operator) {
    String current = value;
    while (true) {
      Node only = view.onlyConsumer(current);
      if (only == null || only.is(operator)) {
        return only;
      }
      if (!only.is("Dropout") && !only.is("Cast") && !only.is("Identity") && !only.is("Reshape")) {
        return null;
      }
      current = only.output();
    }
  }

  /** The first linear layer behind a value, with only a change of layout between. */
  private @Nullable LinearSite after(String value) {
    String current = value;
    while (true) {
      String input = current;
      LinearSite site =
          linears.values().stream().filter(l -> l.input().equals(input)).findFirst().orElse(null);
      if (site != null) {
        return site;
      }
      Node next =
          view.consumers(current).stream()
              .filter(n -> n.domain().isEmpty() && TO_OUTPUT.contains(n.op()))
              .findFirst()
              .orElse(null);
      if (next == null) {
        return null;
      }
      current = next.output();
    }
  }

  /**
   * The nearest linear layers that a value is made of through the allowed operators; notes those
   * met.
   */
  private List<LinearSite> before(String value, Set<String> allowed, Set<String> met) {
    Set<LinearSite> found = new LinkedHashSet<>();
    Set<String> seen = new HashSet<>();
    Deque<String> open = new ArrayDeque<>(List.of(value));
    while (!open.isEmpty()) {
      String current = open.pop();
      if (!seen.add(current)) {
        continue;
      }
      LinearSite linear = linears.get(current);
      if (linear != null) {
        found.add(linear);
        continue;
      }
      Node node = view.producer(current);
      if (node == null || isConstant(node)) {
        continue;
      }
      if (!node.domain().isEmpty() || !allowed.contains(node.op())) {
        return List.of();
      }
      met.add(node.op());
      open.addAll(carriers(node));
    }
    return List.copyOf(found);
  }

  /** What starts at positions and sizes, not at activations. */
  private static boolean isConstant(Node node) {
    return node.is("Constant")
        || node.is("Shape")
        || node.is("ConstantOfShape")
        || node.is("Range")
        || node.is("Cos")
        || node.is("Sin");
  }

  /** The inputs that carry the elements of a node's output, not its shape or indices. */
  private static List<String> carriers(Node node) {
    return switch (node.op()) {
      case "Reshape",
          "Expand",
          "Slice",
          "Split",
          "Squeeze",
          "Unsqueeze",
          "Gather",
          "Dropout",
          "Clip" ->
          List.of(node.requiredInput(0));
      case "Where" -> node.inputs().subList(1, 3);
      default -> node.inputs().stream().filter(i -> !i.isEmpty()).collect(Collectors.toList());
    };
  }
}
