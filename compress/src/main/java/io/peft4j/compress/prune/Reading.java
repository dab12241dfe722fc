package io.peft4j.compress.prune;

import static java.util.Objects.requireNonNull;

import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.WeightPath;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.DoubleUnaryOperator;

/**
 * Where units are read: an activation that goes into layers with weights.
 *
 * @param at the axis of the activation along which the units lie
 * @param units the unit of each entry
 * @param readers the layers, with the axis of the weight that meets the units
 */
record Reading(Axis at, int[] units, Map<Node, WeightAxis> readers) {

  /**
   * An axis of an initializer.
   *
   * @param initializer the name
   */
  record WeightAxis(String initializer, int axis) {}

  /** All readings of a block. */
  static List<Reading> of(Dependencies dependencies, Block block) {
    Map<Axis, Map<Node, WeightAxis>> found = new LinkedHashMap<>();
    Set<Node> nodes = new LinkedHashSet<>();
    block.reach().keySet().forEach(a -> nodes.addAll(dependencies.view().consumers(a.value())));
    for (Node node : nodes) {
      if (node.is("MatMul") || node.is("Gemm") || node.is("Conv")) {
        for (Tie tie : dependencies.ties(node).ties()) {
          boolean contracted =
              tie.from().value().equals(node.requiredInput(0))
                  && tie.to().value().equals(node.requiredInput(1));
          WeightPath weight = contracted ? WeightPath.of(dependencies.view(), node.input(1)) : null;
          if (weight != null && block.reach().containsKey(tie.from())) {
            int axis = weight.transposed() ? 1 - tie.to().axis() : tie.to().axis();
            found
                .computeIfAbsent(tie.from(), a -> new LinkedHashMap<>())
                .put(node, new WeightAxis(weight.initializer(), axis));
          }
        }
      }
    }
    List<Reading> readings = new ArrayList<>();
    found.forEach(
        (axis, readers) ->
            readings.add(new Reading(axis, requireNonNull(block.reach().get(axis)), readers)));
    return readings;
  }

  /** The name of the mask that {@link #mask} puts on this reading. */
  String maskName() {
    return "mask::" + at.value();
  }

  /** Multiplies what is read with ones that train. */
  void mask(GraphEditor editor, long... shape) {
    float[] ones = new float[Math.toIntExact(Tensor.elements(shape))];
    Arrays.fill(ones, 1);
    String mask = maskName();
    editor.initializer(mask, Tensor.ofFloats(shape, ones)).train(mask);
    String product = editor.node("/" + mask, "Mul", List.of(at.value(), mask));
    Set<List<String>> own = new LinkedHashSet<>();
    readers.keySet().forEach(node -> own.add(node.outputs()));
    for (Node node : editor.nodes()) {
      if (own.contains(node.outputs())) {
        editor.replace(node, node.renamingUses(v -> v.equals(at.value()) ? product : v));
      }
    }
  }

  /** The shape of a mask with one number for each entry along the axis. */
  long[] flatMask(int rank) {
    long[] shape = new long[rank - at.axis()];
    Arrays.fill(shape, 1);
    shape[0] = units.length;
    return shape;
  }

  /** Sums numbers of an activation's shape over all axes but that of the units. */
  double[] sums(Tensor values, DoubleUnaryOperator function) {
    long[] shape = values.shape();
    int inner =
        Math.toIntExact(Tensor.elements(Arrays.copyOfRange(shape, at.axis() + 1, shape.length)));
    return sums(values.toFloats(), inner, function);
  }

  private double[] sums(float[] values, int inner, DoubleUnaryOperator function) {
    double[] sums = new double[units.length];
    for (int i = 0; i < values.length; i++) {
      sums[i / inner % units.length] += function.applyAsDouble(values[i]);
    }
    return sums;
  }

  /** The graph with every reading masked, one number an entry. */
  static Graph masked(Graph graph, ValueShapes shapes, Iterable<Reading> readings) {
    GraphEditor editor = graph.edit().freezeAll();
    readings.forEach(r -> r.mask(editor, r.flatMask(shapes.rank(r.at().value()))));
    return editor.build();
  }
}
