package io.peft4j.adapters.linear;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.site.ConvSite;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Puts new weights into linear layers. A layer that shares its weight with something else (an
 * output layer with the embedding table, say) gets one of its own.
 */
public final class MergedWeights {
  private final Graph base;
  private final GraphView view;
  private final GraphEditor editor;

  /**
   * @param editor of the base graph
   */
  public MergedWeights(Graph base, GraphEditor editor) {
    this.base = base;
    this.view = new GraphView(base);
    this.editor = editor;
  }

  /**
   * @param weight the new weight as the layer's initializer lies
   * @param bias [out]; null to leave the bias alone
   */
  public void put(LinearSite layer, Tensor weight, @Nullable Tensor bias) {
    Tensor narrow = weight.cast(base.initializer(layer.weight()).dtype());
    if (isShared(view, layer)) {
      untie(layer, narrow);
    } else {
      editor.initializer(layer.weight(), narrow);
    }
    if (bias != null) {
      putBias(layer, bias.reshaped(bias.size()));
    }
  }

  /**
   * @param weight the new kernels, a row each
   * @param bias [out]; null to leave the bias alone
   */
  public void put(ConvSite convolution, Tensor weight, @Nullable Tensor bias) {
    Tensor old = base.initializer(convolution.weight());
    editor.initializer(convolution.weight(), weight.reshaped(old.shape()).cast(old.dtype()));
    String own = convolution.bias();
    if (own != null && bias != null) {
      editor.initializer(own, bias.reshaped(bias.size()).cast(base.initializer(own).dtype()));
    }
  }

  /**
   * @param table the new table; what else reads the old one keeps it as its own
   */
  public void put(EmbeddingSite embedding, Tensor table) {
    Tensor old = base.initializer(embedding.weight());
    editor.pruneNodes();
    GraphView now = new GraphView(editor.build());
    Node lookup = now.producer(embedding.output());
    if (lookup == null) {
      throw new IllegalStateException("lost the lookup of " + embedding.path());
    }
    String own = "";
    for (Node reader : now.consumers(embedding.weight())) {
      if (reader.equals(lookup) || lookup.equals(now.onlyConsumer(reader.output()))) {
        continue;
      }
      if (own.isEmpty()) {
        own = ownWeight(headOf(embedding), old);
      }
      String kept = own;
      editor.replace(
          reader,
          reader.withInputs(
              reader.inputs().stream().map(v -> v.equals(embedding.weight()) ? kept : v).toList()));
    }
    editor.initializer(embedding.weight(), table.cast(old.dtype()));
  }

  /** What the weight of the layer that shares a table would be called. */
  private String headOf(EmbeddingSite embedding) {
    return Sites.of(base).linears().stream()
        .filter(layer -> layer.weight().equals(embedding.weight()))
        .map(layer -> layer.path() + ".weight")
        .findFirst()
        .orElse(embedding.path() + ".shared.weight");
  }

  /** Whether something else than a layer reads its weight. */
  public static boolean isShared(GraphEditor editor, LinearSite layer) {
    return isShared(new GraphView(editor.build()), layer);
  }

  /** Whether something else reads the weight, directly or through its casts and transposes. */
  private static boolean isShared(GraphView view, LinearSite layer) {
    String value = layer.weight();
    while (true) {
      List<Node> consumers = view.consumers(value);
      if (consumers.size() > 1) {
        return true;
      }
      Node only = consumers.isEmpty() ? null : consumers.get(0);
      if (only == null || !(only.is("Transpose") || only.is("Cast") || only.is("Identity"))) {
        return false;
      }
      value = only.output();
    }
  }

  private void untie(LinearSite layer, Tensor laid) {
    Node product = product(layer);
    String own =
        ownWeight(layer.path() + ".weight", layer.inFirst() ? laid.transposed(1, 0) : laid);
    String scope = "/" + layer.path().replaceAll("\\.(?!\\d)", "/");
    String value = own;
    if (laid.dtype() != layer.dtype()) {
      value =
          editor.node(
              scope + "/Cast",
              "Cast",
              List.of(value),
              Map.of("to", Attribute.of((long) layer.dtype().onnxCode())));
    }
    if (!(product.is("Gemm") && product.intAttribute("transB", 0) == 1)) {
      value =
          editor.node(
              scope + "/Transpose",
              "Transpose",
              List.of(value),
              Map.of("perm", Attribute.ofInts(1, 0)));
    }
    List<String> inputs = new ArrayList<>(product.inputs());
    inputs.set(1, value);
    editor.replace(product, product.withInputs(inputs)).pruneNodes();
  }

  /** A new initializer; one of this name that nothing reads gives way. */
  private String ownWeight(String name, Tensor weight) {
    if (base.initializers().containsKey(name) && view.consumers(name).isEmpty()) {
      editor.initializer(name, weight);
      return name;
    }
    return editor.constant(name, weight);
  }

  private Node product(LinearSite layer) {
    Node node = view.producer(layer.output());
    while (node != null && node.is("Add")) {
      Node first = view.producer(node.requiredInput(0));
      Node second = view.producer(node.requiredInput(1));
      node = first != null && first.is("MatMul") ? first : second;
    }
    if (node == null) {
      throw new IllegalStateException("lost the product of " + layer.path());
    }
    return node;
  }

  private void putBias(LinearSite layer, Tensor vector) {
    String bias = layer.bias();
    if (bias != null) {
      editor.initializer(bias, vector.cast(base.initializer(bias).dtype()));
      return;
    }
    for (double value : vector.toDoubles()) {
      if (value != 0) {
        addBias(layer, vector);
        return;
      }
    }
  }

  private void addBias(LinearSite layer, Tensor vector) {
    String added = editor.constant(layer.path() + ".bias", vector.cast(layer.dtype()));
    String name = "/" + layer.path().replaceAll("\\.(?!\\d)", "/") + "/Add";
    String sum = editor.node(name, "Add", List.of(layer.output(), added));
    editor.replaceUses(layer.output(), sum, node -> node.outputs().contains(sum));
  }
}
