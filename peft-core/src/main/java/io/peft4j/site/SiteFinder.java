package io.peft4j.site;

import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.WeightPath;
import io.peft4j.graph.passes.Patterns;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Finds the single layers of a graph: linear layers, embeddings and norms. */
final class SiteFinder {
  private final GraphView view;
  private int opaque;

  SiteFinder(Graph graph) {
    view = new GraphView(graph);
  }

  GraphView view() {
    return view;
  }

  /**
   * The linear layers by the name of their output value, in the graph's order, every role still
   * OTHER.
   */
  Map<String, LinearSite> linears() {
    Map<String, LinearSite> found = new LinkedHashMap<>();
    for (Node node : view.graph().nodes()) {
      LinearSite site = node.is("MatMul") ? matMul(node) : node.is("Gemm") ? gemm(node) : null;
      if (site != null && node.tag().isEmpty()) {
        found.put(site.output(), site);
      }
    }
    return found;
  }

  private @Nullable LinearSite matMul(Node node) {
    WeightPath weight = WeightPath.of(view, node.input(1));
    if (weight == null
        || weight.tensor().rank() != 2
        || WeightPath.of(view, node.input(0)) != null) {
      return null;
    }
    Node add = view.onlyConsumer(node.output());
    String bias = add != null && add.is("Add") ? bias(add, node.output()) : null;
    String output = bias == null || add == null ? node.output() : add.output();
    return site(node, weight, !weight.transposed(), bias, output);
  }

  private @Nullable String bias(Node add, String product) {
    for (String operand : add.inputs()) {
      WeightPath path = operand.equals(product) ? null : WeightPath.of(view, operand);
      if (path != null && path.tensor().rank() == 1) {
        return path.initializer();
      }
    }
    return null;
  }

  private @Nullable LinearSite gemm(Node node) {
    WeightPath weight = WeightPath.of(view, node.input(1));
    boolean plain =
        node.floatAttribute("alpha", 1f) == 1f
            && node.floatAttribute("beta", 1f) == 1f
            && node.intAttribute("transA", 0) == 0;
    if (weight == null || weight.tensor().rank() != 2 || !plain) {
      return null;
    }
    WeightPath bias = WeightPath.of(view, node.input(2));
    boolean transposed = weight.transposed() != (node.intAttribute("transB", 0) == 1);
    return site(node, weight, !transposed, bias == null ? null : bias.initializer(), node.output());
  }

  private LinearSite site(
      Node node, WeightPath weight, boolean inFirst, @Nullable String bias, String output) {
    List<String> names = Stream.of(weight.initializer(), bias).filter(Objects::nonNull).toList();
    String path = ModulePaths.of(node, names);
    return new LinearSite(
        path == null ? "linear_" + opaque++ : path,
        Role.OTHER,
        weight.initializer(),
        inFirst,
        bias,
        node.requiredInput(0),
        output,
        weight.tensor().dim(inFirst ? 0 : 1),
        weight.tensor().dim(inFirst ? 1 : 0),
        weight.compute());
  }

  List<EmbeddingSite> embeddings() {
    List<EmbeddingSite> found = new ArrayList<>();
    for (Node node : view.graph().nodes()) {
      WeightPath table = node.is("Gather") ? WeightPath.of(view, node.input(0)) : null;
      boolean fits =
          table != null
              && table.tensor().rank() == 2
              && table.tensor().dtype().isFloat()
              && !table.transposed()
              && node.intAttribute("axis", 0) == 0
              && node.tag().isEmpty();
      if (table != null && fits) {
        String path = ModulePaths.ofTable(node, table.initializer());
        found.add(
            new EmbeddingSite(
                path == null ? "embedding_" + found.size() : path,
                table.initializer(),
                node.requiredInput(1),
                node.output(),
                table.tensor().dim(0),
                table.tensor().dim(1),
                table.compute()));
      }
    }
    return found;
  }

  List<NormSite> norms() {
    List<NormSite> found = new ArrayList<>();
    for (Node node : view.graph().nodes()) {
      Node norm = Patterns.layerNorm(view, node);
      String scale = norm == null ? Patterns.rmsNormWeight(view, node) : norm.input(1);
      WeightPath weight = WeightPath.of(view, scale);
      if (weight == null || !node.tag().isEmpty()) {
        continue;
      }
      WeightPath bias = norm == null ? null : WeightPath.of(view, norm.input(2));
      String path = ModulePaths.of(node, List.of(weight.initializer()));
      found.add(
          new NormSite(
              path == null ? "norm_" + found.size() : path,
              weight.initializer(),
              bias == null ? null : bias.initializer(),
              node.output()));
    }
    return found;
  }

  List<ConvSite> convolutions() {
    List<ConvSite> found = new ArrayList<>();
    for (Node node : view.graph().nodes()) {
      WeightPath weight = node.is("Conv") ? WeightPath.of(view, node.input(1)) : null;
      if (weight == null || !node.tag().isEmpty() || weight.tensor().rank() < 3) {
        continue;
      }
      WeightPath bias = WeightPath.of(view, node.input(2));
      String path = ModulePaths.of(node, List.of(weight.initializer()));
      found.add(
          new ConvSite(
              path == null ? "conv_" + found.size() : path,
              weight.initializer(),
              bias == null ? null : bias.initializer(),
              node.requiredInput(0),
              node.output(),
              node.attributes(),
              weight.tensor().dim(1) * node.intAttribute("group", 1),
              weight.tensor().dim(0),
              weight.compute()));
    }
    return found;
  }
}
