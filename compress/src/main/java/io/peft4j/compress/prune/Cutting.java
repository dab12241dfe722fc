package io.peft4j.compress.prune;

import static java.util.Objects.requireNonNull;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Makes a graph smaller: takes entries out of weights, and puts the new sizes in the place of the
 * old ones where the graph holds sizes as numbers.
 */
final class Cutting {
  private final Graph graph;
  private final GraphView view;
  private final ValueShapes shapes;
  private final Map<Axis, BitSet> removed;
  private final GraphEditor editor;

  private Cutting(Dependencies dependencies, Map<Axis, BitSet> removed) {
    graph = dependencies.graph();
    view = dependencies.view();
    shapes = dependencies.shapes();
    this.removed = removed;
    editor = graph.edit().forgetValues();
  }

  /**
   * The graph without some entries.
   *
   * @param removed the entries that go, for every axis that loses some
   */
  static Graph remove(Dependencies dependencies, Map<Axis, BitSet> removed) {
    Cutting cutting = new Cutting(dependencies, removed);
    cutting.cutWeights();
    cutting.graph.nodes().forEach(cutting::resize);
    cutting.declareOutputs();
    return cutting.editor.prune().build();
  }

  private void cutWeights() {
    Map<String, Tensor> cut = new LinkedHashMap<>();
    removed.forEach(
        (axis, entries) -> {
          Tensor whole = constant(axis.value());
          if (whole != null) {
            Tensor before = cut.getOrDefault(axis.value(), whole);
            cut.put(axis.value(), before.selected(axis.axis(), kept(axis)));
          }
        });
    cut.forEach(
        (name, tensor) -> {
          editor.removeNodes(node -> node.is("Constant") && node.output().equals(name));
          editor.initializer(name, tensor);
        });
  }

  private @Nullable Tensor constant(String value) {
    Tensor initializer = graph.initializers().get(value);
    return initializer != null ? initializer : view.constant(value);
  }

  private int[] kept(Axis axis) {
    BitSet gone = removed.get(axis);
    return IntStream.range(0, shapes.size(axis))
        .filter(i -> gone == null || !gone.get(i))
        .toArray();
  }

  private int sizeAfter(String value, int axis) {
    return kept(new Axis(value, axis)).length;
  }

  private boolean isCut(String value, int axis) {
    return removed.containsKey(new Axis(value, axis));
  }

  private boolean isCut(String value) {
    return IntStream.range(0, shapes.rank(value)).anyMatch(axis -> isCut(value, axis));
  }

  private void resize(Node node) {
    if (!node.domain().isEmpty() || node.outputs().stream().noneMatch(this::touches)) {
      return;
    }
    switch (node.op()) {
      case "Reshape", "Expand" -> resizeShape(node, 1);
      case "ConstantOfShape" -> resizeShape(node, 0);
      case "Split" -> resizeSplit(node);
      case "Slice" -> resizeSlice(node);
      case "Conv" -> resizeConv(node);
      default -> {}
    }
  }

  private boolean touches(String value) {
    Node node = view.producer(value);
    return !value.isEmpty()
        && (isCut(value) || (node != null && node.inputs().stream().anyMatch(this::isCutInput)));
  }

  private boolean isCutInput(String value) {
    return !value.isEmpty() && isCut(value);
  }

  /** Gives a wanted shape the new sizes of its cut axes. */
  private void resizeShape(Node node, int input) {
    String out = node.output();
    if (!isCut(out)) {
      return;
    }
    int offset = shapes.rank(out) - shapes.size(node.requiredInput(input), 0);
    String shape =
        withSizes(
            node.requiredInput(input),
            position -> isCut(out, position + offset) ? sizeAfter(out, position + offset) : -1);
    put(node, input, shape);
  }

  /** A vector of sizes with other numbers at some positions, given as 0 or more. */
  private String withSizes(String vector, IntUnaryOperator sizes) {
    int count = shapes.size(vector, 0);
    Tensor known = view.constant(vector);
    if (known != null) {
      long[] numbers = known.toLongs();
      Arrays.setAll(numbers, i -> sizes.applyAsInt(i) < 0 ? numbers[i] : sizes.applyAsInt(i));
      return editor.constant(vector, Tensor.vector(numbers).cast(known.dtype()));
    }
    Node concat = view.producer(vector, "Concat");
    if (concat != null) {
      List<String> parts = new ArrayList<>();
      int from = 0;
      for (String part : concat.inputs()) {
        int start = from;
        from += shapes.size(part, 0);
        boolean changes = IntStream.range(start, from).anyMatch(i -> sizes.applyAsInt(i) >= 0);
        parts.add(changes ? withSizes(part, i -> sizes.applyAsInt(start + i)) : part);
      }
      String fresh = editor.freshName(vector);
      editor.add(Node.of(fresh, "Concat", parts, List.of(fresh), concat.attributes()));
      return fresh;
    }
    long[] fixed = new long[count];
    long[] free = new long[count];
    for (int i = 0; i < count; i++) {
      fixed[i] = Math.max(0, sizes.applyAsInt(i));
      free[i] = sizes.applyAsInt(i) < 0 ? 1 : 0;
    }
    if (Arrays.stream(free).allMatch(f -> f == 0)) {
      return editor.constant(vector, Tensor.vector(fixed));
    }
    String others = editor.constant(vector + "/free", Tensor.vector(free));
    String numbers = editor.constant(vector + "/cut", Tensor.vector(fixed));
    String product = editor.node(vector + "/Mul", "Mul", List.of(vector, others));
    return editor.node(vector + "/Add", "Add", List.of(product, numbers));
  }

  private void put(Node node, int input, String value) {
    List<String> inputs = new ArrayList<>(node.inputs());
    inputs.set(input, value);
    editor.replace(node, node.withInputs(inputs));
  }

  private void resizeSplit(Node node) {
    String x = node.requiredInput(0);
    int axis = axis(node, x);
    if (!isCut(x, axis)) {
      return;
    }
    long[] sizes = node.outputs().stream().mapToLong(part -> sizeAfter(part, axis)).toArray();
    requireSome(node, sizes);
    Map<String, Attribute> attributes = new LinkedHashMap<>(node.attributes());
    attributes.remove("num_outputs");
    String split = editor.constant(node.output() + "/split", Tensor.vector(sizes));
    editor.replace(node, node.withInputs(List.of(x, split)).withAttributes(attributes));
  }

  private static void requireSome(Node node, long... sizes) {
    if (Arrays.stream(sizes).anyMatch(size -> size == 0)) {
      throw new UnsupportedModelException(
          node.describe() + " would have a part without entries; keep some of each");
    }
  }

  private static int axis(Node node, int rank) {
    int axis = Math.toIntExact(node.intAttribute("axis", 0));
    return axis < 0 ? axis + rank : axis;
  }

  private int axis(Node node, String value) {
    return axis(node, shapes.rank(value));
  }

  /** What is kept of a slice lies together, since what lay between has gone. */
  private void resizeSlice(Node node) {
    String x = node.requiredInput(0);
    int count = shapes.size(node.requiredInput(1), 0);
    int[] starts = new int[count];
    int[] ends = new int[count];
    Arrays.fill(starts, -1);
    Arrays.fill(ends, -1);
    for (int axis = 0; axis < shapes.rank(x); axis++) {
      int position = Slices.position(view, shapes, node, axis);
      if (position < 0 || !isCut(x, axis)) {
        continue;
      }
      int[] taken = Slices.entries(view, shapes, node, axis);
      if (taken == null || taken.length == 0) {
        throw new UnsupportedModelException(node.describe() + " slices what it is given at a run");
      }
      BitSet gone = requireNonNull(removed.get(new Axis(x, axis)));
      starts[position] = taken[0] - gone.get(0, taken[0]).cardinality();
      ends[position] = starts[position] + sizeAfter(node.output(), axis);
    }
    Node fresh = node;
    if (Arrays.stream(starts).anyMatch(s -> s >= 0)) {
      List<String> inputs = new ArrayList<>(node.inputs());
      inputs.set(1, withSizes(node.requiredInput(1), i -> starts[i]));
      inputs.set(2, withSizes(node.requiredInput(2), i -> ends[i]));
      fresh = node.withInputs(inputs);
      editor.replace(node, fresh);
    }
  }

  /** A convolution of each channel by itself has as many groups as channels. */
  private void resizeConv(Node node) {
    String x = node.requiredInput(0);
    if (node.intAttribute("group", 1) != 1 && isCut(x, 1)) {
      Map<String, Attribute> attributes = new LinkedHashMap<>(node.attributes());
      attributes.put("group", Attribute.of((long) sizeAfter(x, 1)));
      editor.replace(node, node.withAttributes(attributes));
    }
  }

  private void declareOutputs() {
    editor.clearOutputs();
    for (Value output : graph.outputs()) {
      List<Dim> dims = output.shape();
      if (dims != null && isCut(output.name())) {
        List<Dim> fresh = new ArrayList<>(dims);
        IntStream.range(0, dims.size())
            .filter(axis -> isCut(output.name(), axis))
            .forEach(axis -> fresh.set(axis, Dim.of(sizeAfter(output.name(), axis))));
        editor.output(new Value(output.name(), output.dtype(), fresh));
      } else {
        editor.output(output);
      }
    }
  }
}
