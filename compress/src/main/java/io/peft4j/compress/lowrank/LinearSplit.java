package io.peft4j.compress.lowrank;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.WeightPath;
import io.peft4j.site.LinearSite;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** Puts two linear layers in the place of one: PATH.0 without a bias, and PATH.1 with it. */
final class LinearSplit {
  private LinearSplit() {}

  /**
   * The graph with the layers of one weight split. The old weight is gone unless something else
   * uses it.
   *
   * @param sites all with the same weight
   */
  static Graph apply(Graph graph, List<LinearSite> sites, Factors.Pair factors) {
    GraphEditor editor = graph.edit();
    LinearSite first = sites.get(0);
    DType stored = graph.initializer(first.weight()).dtype();
    String down =
        editor.constant(
            first.path() + ".0.weight", factors.down().transposed().toTensor(stored)); // [in, r]
    String up =
        editor.constant(
            first.path() + ".1.weight", factors.up().transposed().toTensor(stored)); // [r, out]
    GraphView view = new GraphView(graph);
    for (LinearSite site : sites) {
      Node product = product(view, site);
      String scope = "/" + site.path().replaceAll("\\.(?!\\d)", "/");
      String low =
          editor.node(
              scope + "/0/MatMul",
              "MatMul",
              List.of(site.input(), typed(editor, scope + "/0", down, stored, site.dtype())));
      List<String> inputs = new java.util.ArrayList<>(product.inputs());
      inputs.set(0, low);
      inputs.set(1, typed(editor, scope + "/1", up, stored, site.dtype()));
      Map<String, Attribute> attributes = new LinkedHashMap<>(product.attributes());
      attributes.remove("transB");
      editor.replace(
          product,
          Node.of(
              scope + "/1/" + product.op(), product.op(), inputs, product.outputs(), attributes));
    }
    return withoutUnused(editor.build(), first.weight());
  }

  private static Node product(GraphView view, LinearSite site) {
    Node last = Objects.requireNonNull(view.producer(site.output()));
    if (!last.is("Add")) {
      return last;
    }
    for (String operand : last.inputs()) {
      Node product = view.producer(operand, "MatMul");
      if (product != null && product.requiredInput(0).equals(site.input())) {
        WeightPath weight = WeightPath.of(view, product.input(1));
        if (weight != null && weight.initializer().equals(site.weight())) {
          return product;
        }
      }
    }
    throw new UnsupportedModelException(
        "the product of layer '%s' is not found behind %s".formatted(site.path(), last.describe()));
  }

  private static String typed(
      GraphEditor editor, String scope, String weight, DType stored, DType compute) {
    return stored == compute
        ? weight
        : editor.node(
            scope + "/Cast",
            "Cast",
            List.of(weight),
            Map.of("to", Attribute.of((long) compute.onnxCode())));
  }

  /** Removes what led to a weight and leads nowhere any more, and the weight itself. */
  private static Graph withoutUnused(Graph graph, String weight) {
    GraphView view = new GraphView(graph);
    Graph less = graph;
    while (true) {
      GraphView now = new GraphView(less);
      List<Node> idle =
          less.nodes().stream()
              .filter(
                  node ->
                      node.outputs().stream()
                          .allMatch(o -> now.consumers(o).isEmpty() && !now.isOutput(o)))
              .filter(node -> leadsFrom(view, node, weight))
              .toList();
      if (idle.isEmpty()) {
        break;
      }
      less = less.edit().removeNodes(idle::contains).build();
    }
    boolean used =
        less.nodes().stream().anyMatch(node -> node.uses().contains(weight))
            || new GraphView(less).isOutput(weight);
    return used ? less : less.edit().removeInitializer(weight).build();
  }

  private static boolean leadsFrom(GraphView view, Node node, String weight) {
    WeightPath path = WeightPath.of(view, node.outputs().isEmpty() ? null : node.output());
    return path != null && path.initializer().equals(weight);
  }
}
