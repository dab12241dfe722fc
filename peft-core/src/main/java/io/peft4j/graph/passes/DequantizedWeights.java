package io.peft4j.graph.passes;

import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Puts weights in the place of what computes them from quantised constants: DequantizeLinear, and
 * the form that codebooks take in ONNX, Reshape([Slice] Mul(Gather(codes, Cast(DequantizeLinear)),
 * scales)). A weight has the name of the value; it is made when first looked at.
 */
public final class DequantizedWeights {
  private DequantizedWeights() {}

  /** The graph with its quantised weights as float ones; the same graph if it has none. */
  public static Graph fold(Graph graph) {
    if (graph.nodes().stream().noneMatch(node -> node.is("DequantizeLinear"))) {
      return graph;
    }
    GraphView view = new GraphView(graph);
    GraphEditor editor = graph.edit();
    Set<String> folded = new HashSet<>();
    for (Node node : graph.nodes()) {
      Tensor weight = view.isOutput(node.output()) ? null : weight(view, node);
      if (weight != null) {
        editor.initializer(node.output(), weight);
        folded.add(node.output());
      }
    }
    return folded.isEmpty()
        ? graph
        : editor.removeNodes(node -> folded.contains(node.output())).prune().build();
  }

  private static @Nullable Tensor weight(GraphView view, Node node) {
    return switch (node.domain().isEmpty() ? node.op() : "") {
      case "DequantizeLinear" -> linear(view, node);
      case "Reshape" -> codebook(view, node);
      default -> null;
    };
  }

  private static @Nullable Tensor linear(GraphView view, Node node) {
    List<@Nullable Tensor> inputs = new ArrayList<>();
    node.inputs().forEach(input -> inputs.add(view.constant(input)));
    return linear(node, inputs);
  }

  /** What a DequantizeLinear of constants gives; null if an input is none. */
  static @Nullable Tensor linear(Node node, List<@Nullable Tensor> inputs) {
    Tensor values = inputs.get(0);
    Tensor scale = inputs.size() < 2 ? null : inputs.get(1);
    boolean zeroed = node.input(2) != null;
    Tensor zero = zeroed ? inputs.get(2) : null;
    if (values == null || scale == null || (zeroed && zero == null) || !scale.dtype().isFloat()) {
      return null;
    }
    int axis = (int) node.intAttribute("axis", 1);
    return Dequantization.linear(
            values,
            scale,
            zero,
            axis < 0 ? axis + values.rank() : axis,
            (int) node.intAttribute("block_size", 0))
        .cast(scale.dtype());
  }

  private static @Nullable Tensor codebook(GraphView view, Node node) {
    Tensor shape = view.constant(node.input(1));
    Node cut = view.producer(node.input(0), "Slice");
    Node flat = cut == null ? null : view.producer(cut.input(0), "Reshape");
    Node scaled = view.producer(flat == null ? node.input(0) : flat.input(0), "Mul");
    Node picked = scaled == null ? null : view.producer(scaled.input(0), "Gather");
    Node cast = picked == null ? null : view.producer(picked.input(1), "Cast");
    Node whole = cast == null ? null : view.producer(cast.input(0), "DequantizeLinear");
    if (shape == null || scaled == null || picked == null || whole == null) {
      return null;
    }
    Tensor code = view.constant(picked.input(0));
    Tensor indices = view.constant(whole.input(0));
    Tensor scale = scale(view, Objects.requireNonNull(scaled.input(1)));
    boolean blocks =
        Arrays.stream(shape.toLongs()).allMatch(size -> size > 0)
            && code != null
            && indices != null
            && indices.rank() == 2
            && view.scalar(whole.input(1)) == 1
            && scale != null
            && scale.size() == indices.dim(0);
    return blocks && code != null && indices != null && scale != null
        ? Dequantization.codebook(
            indices, code, scale, Math.toIntExact(indices.dim(1)), shape.toLongs())
        : null;
  }

  private static @Nullable Tensor scale(GraphView view, String value) {
    Tensor constant = view.constant(value);
    Node quantized = view.producer(value, "DequantizeLinear");
    return constant == null && quantized != null ? linear(view, quantized) : constant;
  }
}
