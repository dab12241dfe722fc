package io.peft4j.compress.prune;

import com.google.common.collect.ImmutableSet;
import io.peft4j.compress.prune.Tie.Ties;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Says which axes of a node's inputs and outputs belong together. An axis without a tie cannot be
 * cut at that node; operators that are not named here have none.
 */
final class NodeTies {
  private static final ImmutableSet<String> ELEMENTWISE =
      ImmutableSet.of(
          "Abs",
          "Add",
          "And",
          "Cast",
          "Ceil",
          "Clip",
          "Cos",
          "Div",
          "Dropout",
          "Elu",
          "Equal",
          "Erf",
          "Exp",
          "Floor",
          "Gelu",
          "Greater",
          "GreaterOrEqual",
          "HardSigmoid",
          "HardSwish",
          "Identity",
          "IsNaN",
          "LeakyRelu",
          "Less",
          "LessOrEqual",
          "Log",
          "Max",
          "Min",
          "Mish",
          "Mod",
          "Mul",
          "Neg",
          "Not",
          "Or",
          "PRelu",
          "Pow",
          "Reciprocal",
          "Relu",
          "Round",
          "Selu",
          "Sigmoid",
          "Sign",
          "Sin",
          "Softplus",
          "Softsign",
          "Sqrt",
          "Sub",
          "Tanh",
          "Where",
          "Xor");

  /** Those whose further inputs are settings. */
  private static final ImmutableSet<String> ONE_CARRIER =
      ImmutableSet.of("Cast", "Clip", "Dropout");

  private static final ImmutableSet<String> POOLS =
      ImmutableSet.of("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "MaxPool");

  private final GraphView view;
  private final ValueShapes shapes;
  private final Node node;
  private final List<Tie> ties = new ArrayList<>();
  private final Set<Axis> absorbed = new HashSet<>();

  private NodeTies(GraphView view, ValueShapes shapes, Node node) {
    this.view = view;
    this.shapes = shapes;
    this.node = node;
  }

  static Ties of(GraphView view, ValueShapes shapes, Node node) {
    NodeTies found = new NodeTies(view, shapes, node);
    if (node.domain().isEmpty()) {
      found.find();
    }
    return new Ties(found.ties, found.absorbed);
  }

  private void find() {
    if (ELEMENTWISE.contains(node.op())) {
      int carriers = ONE_CARRIER.contains(node.op()) ? 1 : node.inputs().size();
      IntStream.range(0, carriers).forEach(i -> broadcast(node.input(i), node.output()));
      return;
    }
    if (POOLS.contains(node.op())) {
      same(node.requiredInput(0), node.output(), 0, 1);
      return;
    }
    switch (node.op()) {
      case "MatMul" -> matMul();
      case "Gemm" -> gemm();
      case "Conv" -> conv();
      case "BatchNormalization" -> batchNorm();
      case "LayerNormalization", "RMSNormalization" -> layerNorm();
      case "Softmax", "LogSoftmax" -> allBut(Math.toIntExact(node.intAttribute("axis", -1)));
      case "ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL2" -> reduce();
      case "Reshape", "Flatten", "Squeeze", "Unsqueeze" ->
          ties.addAll(ReshapeTies.of(shapes, node.requiredInput(0), node.output()));
      case "Transpose" -> transpose();
      case "Concat" -> concat();
      case "Split" -> split();
      case "Slice" -> slice();
      case "Expand" -> expand();
      case "ConstantOfShape" -> absorbAll(node.output());
      case "Gather" -> gather();
      case "Shape", "Size" -> absorbAll(node.requiredInput(0));
      default -> {}
    }
  }

  private void tie(String from, int fromAxis, String to, int toAxis) {
    tie(from, fromAxis, to, toAxis, null);
  }

  private void tie(String from, int fromAxis, String to, int toAxis, int @Nullable [] map) {
    ties.add(new Tie(new Axis(from, fromAxis), new Axis(to, toAxis), map));
  }

  private void same(String a, String b, int... axes) {
    for (int axis : axes) {
      tie(a, axis, b, axis);
    }
  }

  private void absorbAll(String value) {
    IntStream.range(0, shapes.rank(value)).forEach(axis -> absorbed.add(new Axis(value, axis)));
  }

  /** Ties the axes of an input to those of an output that it is broadcast to. */
  private void broadcast(@Nullable String input, String output) {
    if (input == null) {
      return;
    }
    int ahead = shapes.rank(output) - shapes.rank(input);
    for (int axis = 0; axis < shapes.rank(input); axis++) {
      if (shapes.size(input, axis) == shapes.size(output, axis + ahead)) {
        tie(input, axis, output, axis + ahead);
      }
    }
  }

  /** Copies of one entry can be fewer. */
  private void expand() {
    String x = node.requiredInput(0);
    String out = node.output();
    broadcast(x, out);
    int ahead = shapes.rank(out) - shapes.rank(x);
    for (int axis = 0; axis < shapes.rank(out); axis++) {
      if (axis < ahead || shapes.size(x, axis - ahead) != shapes.size(out, axis)) {
        absorbed.add(new Axis(out, axis));
      }
    }
  }

  /** [..., m, k] by [..., k, n]. */
  private void matMul() {
    String a = node.requiredInput(0);
    String b = node.requiredInput(1);
    String out = node.output();
    int rankA = shapes.rank(a);
    int rankB = shapes.rank(b);
    int rank = shapes.rank(out);
    tie(a, rankA - 1, b, Math.max(rankB - 2, 0));
    if (rankB > 1) {
      tie(b, rankB - 1, out, rank - 1);
    }
    if (rankA > 1) {
      tie(a, rankA - 2, out, rankB > 1 ? rank - 2 : rank - 1);
    }
    for (int back = 3; back <= rank; back++) {
      int axis = rank - back;
      for (String side : List.of(a, b)) {
        int at = shapes.rank(side) - back;
        if (at >= 0 && shapes.size(side, at) == shapes.size(out, axis)) {
          tie(side, at, out, axis);
        }
      }
    }
  }

  private void gemm() {
    int transA = Math.toIntExact(node.intAttribute("transA", 0));
    int transB = Math.toIntExact(node.intAttribute("transB", 0));
    tie(node.requiredInput(0), 1 - transA, node.requiredInput(1), transB);
    tie(node.requiredInput(0), transA, node.output(), 0);
    tie(node.requiredInput(1), 1 - transB, node.output(), 1);
    broadcast(node.input(2), node.output());
  }

  /** x [batch, in, ...], weight [out, in / group, ...]. */
  private void conv() {
    String x = node.requiredInput(0);
    String weight = node.requiredInput(1);
    String out = node.output();
    tie(x, 0, out, 0);
    tie(weight, 0, out, 1);
    String bias = node.input(2);
    if (bias != null) {
      tie(bias, 0, out, 1);
    }
    int group = Math.toIntExact(node.intAttribute("group", 1));
    if (group == 1) {
      tie(x, 1, weight, 1);
    } else if (group == shapes.size(x, 1)) {
      int each = shapes.size(out, 1) / group;
      tie(out, 1, x, 1, IntStream.range(0, group * each).map(o -> o / each).toArray());
    }
  }

  private void batchNorm() {
    String x = node.requiredInput(0);
    same(x, node.output(), IntStream.range(0, shapes.rank(x)).toArray());
    for (int i = 1; i < 5; i++) {
      tie(node.requiredInput(i), 0, x, 1);
    }
  }

  private void layerNorm() {
    String x = node.requiredInput(0);
    same(x, node.output(), IntStream.range(0, shapes.rank(x)).toArray());
    broadcast(node.input(1), node.output());
    broadcast(node.input(2), node.output());
  }

  private void allBut(int axis) {
    String x = node.requiredInput(0);
    int excepted = axis < 0 ? axis + shapes.rank(x) : axis;
    IntStream.range(0, shapes.rank(x))
        .filter(i -> i != excepted)
        .forEach(i -> tie(x, i, node.output(), i));
  }

  private void reduce() {
    String x = node.requiredInput(0);
    int rank = shapes.rank(x);
    long[] named = longs(node.input(1), node.intsAttribute("axes"));
    if (named == null && node.input(1) != null) {
      return;
    }
    Set<Integer> reduced = new HashSet<>();
    if (named == null) {
      IntStream.range(0, rank).forEach(reduced::add);
    } else {
      Arrays.stream(named).forEach(a -> reduced.add((int) (a < 0 ? a + rank : a)));
    }
    boolean keeps = node.intAttribute("keepdims", 1) == 1;
    int out = 0;
    for (int axis = 0; axis < rank; axis++) {
      if (reduced.contains(axis)) {
        absorbed.add(new Axis(x, axis));
        out += keeps ? 1 : 0;
      } else {
        tie(x, axis, node.output(), out++);
      }
    }
  }

  private long @Nullable [] longs(@Nullable String input, long @Nullable [] attribute) {
    Tensor constant = view.constant(input);
    return constant == null ? attribute : constant.toLongs();
  }

  private void transpose() {
    String x = node.requiredInput(0);
    int rank = shapes.rank(x);
    long[] order = node.intsAttribute("perm");
    for (int axis = 0; axis < rank; axis++) {
      tie(x, order == null ? rank - 1 - axis : (int) order[axis], node.output(), axis);
    }
  }

  private void concat() {
    int joined = axis(0, node.output());
    int from = 0;
    for (String input : node.inputs()) {
      int start = from;
      for (int axis = 0; axis < shapes.rank(input); axis++) {
        int size = shapes.size(input, axis);
        tie(
            input,
            axis,
            node.output(),
            axis,
            axis == joined ? IntStream.range(start, start + size).toArray() : null);
      }
      from += shapes.size(input, joined);
    }
  }

  private void split() {
    String x = node.requiredInput(0);
    int parted = axis(0, x);
    int from = 0;
    for (String output : node.outputs()) {
      if (output.isEmpty()) {
        return; // where the parts lie is not known then
      }
      int start = from;
      for (int axis = 0; axis < shapes.rank(x); axis++) {
        int size = shapes.size(output, axis);
        tie(
            output,
            axis,
            x,
            axis,
            axis == parted ? IntStream.range(start, start + size).toArray() : null);
      }
      from += shapes.size(output, parted);
    }
  }

  private int axis(long absent, String value) {
    int axis = Math.toIntExact(node.intAttribute("axis", absent));
    return axis < 0 ? axis + shapes.rank(value) : axis;
  }

  private void slice() {
    String x = node.requiredInput(0);
    int rank = shapes.rank(x);
    for (int axis = 0; axis < rank; axis++) {
      int[] map = Slices.entries(view, shapes, node, axis);
      if (map != null) {
        tie(node.output(), axis, x, axis, map.length == shapes.size(x, axis) ? null : map);
        absorbed.add(new Axis(x, axis)); // what is not taken
      }
    }
  }

  private void gather() {
    String data = node.requiredInput(0);
    String indices = node.requiredInput(1);
    int picked = axis(0, data);
    int rank = shapes.rank(indices);
    for (int axis = 0; axis < shapes.rank(data); axis++) {
      if (axis < picked) {
        tie(data, axis, node.output(), axis);
      } else if (axis > picked) {
        tie(data, axis, node.output(), axis + rank - 1);
      }
    }
    for (int axis = 0; axis < rank; axis++) {
      tie(indices, axis, node.output(), picked + axis);
    }
  }
}
