package io.peft4j.compress.quantize;

import io.peft4j.PeftException;
import io.peft4j.data.BatchSource;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Makes the inputs of linear layers even before they are quantised (SmoothQuant, Xiao et al. 2023,
 * arXiv 2211.10438): input channel j is divided by s_j = max |x_j|^strength / max |W_j|^(1 −
 * strength) and the weights of the channel are multiplied by it. The graph computes the same; a
 * channel that is much larger than the others no longer takes all steps of their range.
 *
 * @param strength how much of the unevenness moves into the weights, from 0 to 1
 */
public record Smoothing(double strength) {
  private static final double SMALLEST = 1e-5;

  public Smoothing {
    if (!(strength >= 0 && strength <= 1)) {
      throw new PeftException("the smoothing must be from 0 to 1, was " + strength);
    }
  }

  /**
   * The smoothed graph. Layers that share a weight with another layer stay as they are.
   *
   * @param way whose layers are smoothed, those that it leaves out are not
   * @param rows that the inputs are looked at on
   */
  public Graph apply(Graph graph, Quantization way, BatchSource rows) {
    List<String> quantized = way.apply(graph).quantized();
    Map<String, List<QuantizableLayer>> byInput = new LinkedHashMap<>();
    GraphView view = new GraphView(graph);
    for (QuantizableLayer layer : way.layers(graph)) {
      Node node = layer.node();
      boolean own =
          layer.kind() == QuantizableLayer.Kind.LINEAR
              && quantized.contains(layer.path())
              && node.intAttribute("transA", 0) == 0
              && view.onlyConsumer(layer.weight()) != null;
      if (own) {
        byInput.computeIfAbsent(node.requiredInput(0), key -> new ArrayList<>()).add(layer);
      }
    }
    if (byInput.isEmpty()) {
      return graph;
    }
    GraphEditor editor = graph.edit();
    try (Activations activations = new Activations(graph, byInput.keySet(), rows)) {
      Map<String, Activations.Extent> extents = activations.extents();
      byInput.forEach(
          (input, layers) -> {
            Activations.Extent extent = extents.get(input);
            if (extent != null) {
              smooth(editor, input, extent.largest, layers);
            }
          });
    }
    return editor.build();
  }

  private void smooth(
      GraphEditor editor, String input, float[] largest, List<QuantizableLayer> layers) {
    double[] weights = new double[largest.length];
    for (QuantizableLayer layer : layers) {
      float[] numbers = layer.tensor().toFloats();
      for (int i = 0; i < numbers.length; i++) {
        int channel = channel(layer, i);
        weights[channel] = Math.max(weights[channel], Math.abs(numbers[i]));
      }
    }
    double[] factor = new double[largest.length];
    float[] inverse = new float[largest.length];
    for (int j = 0; j < factor.length; j++) {
      double even =
          Math.pow(Math.max(largest[j], SMALLEST), strength)
              / Math.pow(Math.max(weights[j], SMALLEST), 1 - strength);
      factor[j] = Math.max(even, SMALLEST);
      inverse[j] = (float) (1 / factor[j]);
    }
    String scale =
        editor.constant(
            input + "_smoothing", Tensor.ofFloats(new long[] {inverse.length}, inverse));
    String smoothed = editor.node(input + "_smooth", "Mul", List.of(input, scale));
    for (QuantizableLayer layer : layers) {
      float[] numbers = layer.tensor().toFloats();
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] = (float) (numbers[i] * factor[channel(layer, i)]);
      }
      editor.initializer(layer.weight(), Tensor.ofFloats(layer.tensor().shape(), numbers));
      List<String> inputs = new ArrayList<>(layer.node().inputs());
      inputs.set(0, smoothed);
      editor.replace(layer.node(), layer.node().withInputs(inputs));
    }
  }

  /** The input channel that an element of a weight belongs to. */
  private static int channel(QuantizableLayer layer, int element) {
    int width = Math.toIntExact(layer.tensor().dim(1));
    return layer.inFirst() ? element / width : element % width;
  }
}
