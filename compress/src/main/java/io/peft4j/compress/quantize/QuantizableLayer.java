package io.peft4j.compress.quantize;

import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.graph.WeightPath;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.ModulePaths;
import io.peft4j.site.Sites;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A layer whose weight can be held in fewer bits.
 *
 * @param path module path, unique in its graph
 * @param kind what the layer does
 * @param node MatMul, Gemm, Conv or Gather
 * @param weight the initializer that holds the weight; layers may share it
 * @param tensor what the initializer holds
 * @param inFirst for linear layers: whether the initializer is laid out [in, out] instead of [out,
 *     in]
 */
public record QuantizableLayer(
    String path, Kind kind, Node node, String weight, Tensor tensor, boolean inFirst) {

  /** What a layer does with its weight. */
  public enum Kind {
    LINEAR,
    CONVOLUTION,
    EMBEDDING
  }

  /** The axis of the initializer that channels are counted along: outputs, or rows of a table. */
  public int channelAxis() {
    return inFirst ? 1 : 0;
  }

  /** The axis of the initializer that the layer sums over, or that a table's vectors lie along. */
  public int inputAxis() {
    return inFirst ? 0 : 1;
  }

  /** Every layer of a graph that has a constant weight and computes in float32, in order. */
  public static List<QuantizableLayer> of(Graph graph) {
    return new Search(graph).run();
  }

  /** One search through a graph. */
  private static final class Search {
    private final GraphView view;
    private final Set<String> given;
    private final Map<String, String> paths = new HashMap<>();
    private final Map<String, Integer> seen = new HashMap<>();

    Search(Graph graph) {
      view = new GraphView(graph);
      given = graph.inputs().stream().map(Value::name).collect(Collectors.toSet());
      Sites sites = Sites.of(graph);
      for (LinearSite site : sites.linears()) {
        paths.put(site.output(), site.path());
      }
      for (EmbeddingSite site : sites.embeddings()) {
        paths.put(site.output(), site.path());
      }
    }

    List<QuantizableLayer> run() {
      List<QuantizableLayer> layers = new ArrayList<>();
      for (Node node : view.graph().nodes()) {
        QuantizableLayer layer = layer(node);
        if (layer != null) {
          layers.add(layer);
        }
      }
      return layers;
    }

    private @Nullable QuantizableLayer layer(Node node) {
      return switch (node.domain().isEmpty() ? node.op() : "") {
        case "MatMul" -> {
          WeightPath weight = weight(node, 1, 2);
          yield weight == null ? null : layer(node, Kind.LINEAR, weight, !weight.transposed());
        }
        case "Gemm" -> {
          WeightPath weight = weight(node, 1, 2);
          boolean swapped = node.intAttribute("transB", 0) == 1;
          yield weight == null
              ? null
              : layer(node, Kind.LINEAR, weight, weight.transposed() == swapped);
        }
        case "Conv" -> {
          WeightPath weight = weight(node, 1, -1);
          yield weight == null ? null : layer(node, Kind.CONVOLUTION, weight, false);
        }
        case "Gather" -> {
          WeightPath weight = weight(node, 0, 2);
          boolean rows = node.intAttribute("axis", 0) == 0;
          yield weight == null || weight.transposed() || !rows
              ? null
              : layer(node, Kind.EMBEDDING, weight, false);
        }
        default -> null;
      };
    }

    /** A frozen weight of this rank (-1 for any) that is computed with in float32. */
    private @Nullable WeightPath weight(Node node, int input, int rank) {
      WeightPath weight = WeightPath.of(view, node.input(input));
      return weight == null
              || given.contains(weight.initializer())
              || weight.compute() != DType.FLOAT32
              || !weight.tensor().dtype().isFloat()
              || (rank >= 0 && weight.tensor().rank() != rank)
          ? null
          : weight;
    }

    private QuantizableLayer layer(Node node, Kind kind, WeightPath weight, boolean inFirst) {
      String path = path(node, weight);
      int earlier = seen.merge(path, 1, Integer::sum) - 1;
      return new QuantizableLayer(
          earlier == 0 ? path : path + "#" + earlier,
          kind,
          node,
          weight.initializer(),
          weight.tensor(),
          inFirst);
    }

    private String path(Node node, WeightPath weight) {
      Node next = view.onlyConsumer(node.output());
      String biased = next != null && next.is("Add") ? paths.get(next.output()) : null;
      String path = biased == null ? paths.get(node.output()) : biased;
      String named = path == null ? ModulePaths.of(node, List.of(weight.initializer())) : path;
      return named == null ? weight.initializer() : named;
    }
  }
}
