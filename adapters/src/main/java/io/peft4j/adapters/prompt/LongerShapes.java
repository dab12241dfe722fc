package io.peft4j.adapters.prompt;

import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Lets a graph whose sequence becomes longer in its middle take the sizes that it reads off its
 * inputs, [batch, sequence], as if these were longer: exporters may shape hidden values by the
 * sizes of the ids.
 */
final class LongerShapes {
  private static final String SCOPE = "longer_shapes";

  private final Attachment at;
  private final int added;
  private final Map<String, String> longer = new HashMap<>();
  private final Set<String> hidden = new HashSet<>();

  /**
   * @param added by how much the sequence is longer
   */
  LongerShapes(Attachment at, int added) {
    this.at = at;
    this.added = added;
  }

  /** Corrects what shapes this value and those that depend on it. */
  void behind(String value) {
    Deque<String> open = new ArrayDeque<>(List.of(value));
    hidden.add(value);
    while (!open.isEmpty()) {
      for (Node node : at.view().consumers(open.pop())) {
        node.outputs().stream().filter(hidden::add).forEach(open::add);
      }
    }
    for (Node node : at.view().graph().nodes()) {
      boolean shapes = node.is("Reshape") || node.is("Expand");
      if (shapes && hidden.contains(node.requiredInput(0))) {
        String shape = node.requiredInput(1);
        String corrected = longer(shape);
        if (!corrected.equals(shape)) {
          at.rewire(at.producer(node.output()), shape, corrected);
        }
      }
    }
  }

  /** The value with the other length in it; the value itself if that does not occur in it. */
  private String longer(String value) {
    String known = longer.get(value);
    if (known == null) {
      known = hidden.contains(value) ? value : computed(value);
      longer.put(value, known);
    }
    return known;
  }

  private String computed(String value) {
    Node node = at.view().producer(value);
    if (node == null) {
      return value;
    }
    return switch (node.op()) {
      case "Shape" -> isInput(node.requiredInput(0)) ? plusAdded(node) : value;
      case "Gather", "Slice", "Concat", "Squeeze", "Unsqueeze", "Cast", "Identity", "Reshape" ->
          again(node);
      case "Add", "Sub", "Mul", "Div" -> again(node);
      default -> value;
    };
  }

  private boolean isInput(String value) {
    return at.view().graph().inputs().stream().anyMatch(input -> input.name().equals(value));
  }

  private String plusAdded(Node shape) {
    long start = axis(shape.intAttribute("start", 0));
    long end = axis(shape.intAttribute("end", 2));
    long[] more = new long[(int) (end - start)];
    if (start <= 1 && end == 2) {
      more[(int) (1 - start)] = added;
    }
    String constant = at.constant(SCOPE + ".added", Tensor.vector(more));
    return at.node(SCOPE, "Add", shape.output(), constant);
  }

  /** An axis of [batch, sequence], or their end. */
  private static long axis(long index) {
    return Math.min(index < 0 ? index + 2 : index, 2);
  }

  private String again(Node node) {
    List<String> inputs = node.inputs().stream().map(this::longer).toList();
    if (inputs.equals(node.inputs())) {
      return node.output();
    }
    Map<String, Attribute> attributes = node.attributes();
    return at.node(SCOPE, node.op(), attributes, inputs.toArray(String[]::new));
  }
}
