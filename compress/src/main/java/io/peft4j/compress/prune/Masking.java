package io.peft4j.compress.prune;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The model that a pruned one must equal: of the old size, with zeros in place of what was taken
 * out, and with means that are taken over what is left. It is made without the code that cuts.
 */
final class Masking {
  private final Dependencies dependencies;
  private final Map<Axis, BitSet> removed;
  private final GraphEditor editor;

  private Masking(Dependencies dependencies, Map<Axis, BitSet> removed) {
    this.dependencies = dependencies;
    this.removed = removed;
    editor = dependencies.graph().edit().forgetValues();
  }

  /**
   * The masked graph.
   *
   * @param removed as for {@link Cutting#remove}
   */
  static Graph of(Dependencies dependencies, Map<Axis, BitSet> removed) {
    Masking masking = new Masking(dependencies, removed);
    masking.maskWeights();
    masking.dependencies.graph().nodes().forEach(masking::maskMeans);
    return masking.editor.prune().build();
  }

  private void maskWeights() {
    Map<String, Tensor> masked = new LinkedHashMap<>();
    removed.forEach(
        (axis, entries) -> {
          Tensor whole = dependencies.graph().initializers().get(axis.value());
          if (whole != null && whole.dtype().isFloat()) {
            Tensor before = masked.getOrDefault(axis.value(), whole);
            masked.put(axis.value(), zeroed(before, axis.axis(), entries));
          }
        });
    masked.forEach(editor::initializer);
  }

  private static Tensor zeroed(Tensor tensor, int axis, BitSet entries) {
    long[] shape = tensor.shape();
    int inner = Math.toIntExact(Tensor.elements(Arrays.copyOfRange(shape, axis + 1, shape.length)));
    float[] values = tensor.toFloats();
    for (int at = 0; at < values.length; at++) {
      if (entries.get(Math.toIntExact(at / inner % shape[axis]))) {
        values[at] = 0;
      }
    }
    return Tensor.ofFloats(shape, values).cast(tensor.dtype());
  }

  private void maskMeans(Node node) {
    boolean norm = node.is("LayerNormalization");
    if (!norm && !node.is("ReduceMean")) {
      return;
    }
    String x = node.requiredInput(0);
    for (int axis = 0; axis < dependencies.shapes().rank(x); axis++) {
      Axis key = new Axis(x, axis);
      boolean reduced = norm || dependencies.ties(node).absorbed().contains(key);
      if (removed.containsKey(key) && reduced) {
        mask(node, key);
      }
    }
  }

  private void mask(Node node, Axis axis) {
    BitSet gone = removed.getOrDefault(axis, new BitSet());
    int size = dependencies.shapes().size(axis);
    float[] ones = new float[size];
    for (int i = 0; i < size; i++) {
      ones[i] = gone.get(i) ? 0 : 1;
    }
    long[] shape = new long[dependencies.shapes().rank(axis.value())];
    Arrays.fill(shape, 1);
    shape[axis.axis()] = size;
    String mask = editor.constant("/masked/mask", Tensor.ofFloats(shape, ones));
    double factor = size / (double) (size - gone.cardinality());
    String scale = editor.constant("/masked/factor", Tensor.scalar((float) factor));
    editor.removeNodes(node::equals);
    if (node.is("ReduceMean")) {
      String masked = editor.node("/masked/Mul", "Mul", List.of(axis.value(), mask));
      String mean = mean(node, masked);
      rename("/masked/Mul_1", "Mul", List.of(mean, scale), node.output());
    } else {
      norm(node, axis, mask, scale);
    }
  }

  private String mean(Node node, String value) {
    List<String> inputs = new java.util.ArrayList<>(node.inputs());
    inputs.set(0, value);
    String mean = editor.freshName(node.output() + "/mean");
    editor.add(Node.of(mean, node.op(), inputs, List.of(mean), node.attributes()));
    return mean;
  }

  private void rename(String name, String op, List<String> inputs, String output) {
    editor.add(Node.of(name, op, inputs, List.of(output), Map.of()));
  }

  /** LayerNormalization over what is left, written out. */
  private void norm(Node node, Axis axis, String mask, String scale) {
    String masked = editor.node("/masked/Mul", "Mul", List.of(axis.value(), mask));
    String centred =
        editor.node("/masked/Sub", "Sub", List.of(masked, average(masked, axis, scale)));
    String inner = editor.node("/masked/Mul", "Mul", List.of(centred, mask));
    String square = editor.node("/masked/Mul", "Mul", List.of(inner, inner));
    String epsilon =
        editor.constant("/masked/epsilon", Tensor.scalar(node.floatAttribute("epsilon", 1e-5f)));
    String variance =
        editor.node("/masked/Add", "Add", List.of(average(square, axis, scale), epsilon));
    String deviation = editor.node("/masked/Sqrt", "Sqrt", List.of(variance));
    String normal = editor.node("/masked/Div", "Div", List.of(inner, deviation));
    String weighted = editor.node("/masked/Mul", "Mul", List.of(normal, node.requiredInput(1)));
    String bias = node.input(2);
    if (bias == null) {
      rename("/masked/Identity", "Identity", List.of(weighted), node.output());
    } else {
      rename("/masked/Add_1", "Add", List.of(weighted, bias), node.output());
    }
  }

  private String average(String value, Axis axis, String scale) {
    String axes = editor.constant("/masked/axes", Tensor.vector(axis.axis()));
    Map<String, Attribute> keep = Map.of("keepdims", Attribute.of(1L));
    String mean = editor.node("/masked/ReduceMean", "ReduceMean", List.of(value, axes), keep);
    return editor.node("/masked/Mul", "Mul", List.of(mean, scale));
  }
}
