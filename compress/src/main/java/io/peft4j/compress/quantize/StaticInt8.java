package io.peft4j.compress.quantize;

import io.peft4j.data.BatchSource;
import io.peft4j.format.Checkpoint;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Linear layers and convolutions computed in int8, the ranges of their inputs found beforehand:
 * QuantizeLinear and DequantizeLinear around float operators, the form that runtimes turn into
 * integer operators. Weights are int8 with a scale for each output; around convolutions the outputs
 * are integers too, so that they follow each other without becoming float. Tables are as in {@link
 * DynamicInt8}.
 *
 * @param ranges of {@link #points}
 * @param reduced whether weights end at 64; see {@link DynamicInt8}
 * @param excluded layers that stay float, by module path or the last parts of it
 */
public record StaticInt8(Map<String, ActivationRange> ranges, boolean reduced, Set<String> excluded)
    implements Quantization {
  public StaticInt8 {
    ranges = Map.copyOf(ranges);
    excluded = Set.copyOf(excluded);
  }

  /** With ranges as they are on rows of the user's. */
  public static StaticInt8 calibrated(Graph graph, BatchSource rows, Calibration calibration) {
    return new StaticInt8(calibration.ranges(graph, points(graph), rows), false, Set.of());
  }

  /** The values of a graph whose ranges are needed. */
  public static Set<String> points(Graph graph) {
    GraphView view = new GraphView(graph);
    Set<String> points = new LinkedHashSet<>();
    for (QuantizableLayer layer : QuantizableLayer.of(graph)) {
      switch (layer.kind()) {
        case LINEAR -> points.add(layer.node().requiredInput(0));
        case CONVOLUTION -> {
          points.add(layer.node().requiredInput(0));
          points.add(result(view, layer.node()));
        }
        case EMBEDDING -> {}
      }
    }
    return points;
  }

  /** The output of a convolution, of the Relu behind it if there is one. */
  static String result(GraphView view, Node node) {
    Node next = view.onlyConsumer(node.output());
    return next != null && next.is("Relu") ? next.output() : node.output();
  }

  @Override
  public StaticInt8 excluding(Collection<String> layers) {
    return new StaticInt8(ranges, reduced, Set.copyOf(layers));
  }

  @Override
  public QuantizedModel apply(Graph graph) {
    Selection selection = Selection.of(graph, layers(graph), excluded);
    GraphEditor editor = graph.edit();
    QdqRewrite rewrite = new QdqRewrite(graph, editor, selection.layers(), ranges, reduced);
    selection.layers().forEach(rewrite::layer);
    rewrite.finish();
    Map<String, Object> note =
        new TreeMap<>(
            Map.of(
                "mode",
                "static",
                "type",
                "int8",
                "reduced",
                reduced,
                "excluded",
                List.copyOf(selection.left().keySet())));
    editor.metadata(METADATA_KEY, Checkpoint.text(note));
    return new QuantizedModel(editor.prune().build(), selection.paths(), selection.left());
  }

  @Override
  public List<QuantizableLayer> layers(Graph graph) {
    GraphView view = new GraphView(graph);
    return QuantizableLayer.of(graph).stream()
        .filter(
            layer ->
                layer.kind() != QuantizableLayer.Kind.CONVOLUTION
                    || layer.node().input(2) == null
                    || view.constant(layer.node().input(2)) != null)
        .toList();
  }
}
