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
import java.util.stream.Collectors;

/**
 * Makes the inputs of linear layers even before they are quantised (SmoothQuant, Xiao et al. 2023,
 * arXiv 2211.10438): input channel j is divided by s_j = max |x_j|^strength / max |W_j|^(1 −
 * strength) and the weights of the channel are multiplied by it. The graph computes the same; a
 * channel that is much larger than the others no longer takes all steps of their range. For each
 * input the strength is chosen whose quantised products are nearest to the true ones; where none
 * helps, the input stays as it is.
 *
 * @param strengths to choose from: how much of the unevenness moves into the weights, from 0 to 1
 */
public record Smoothing(List<Double> strengths) {
  public Smoothing {
    strengths = List.copyOf(strengths);
    if (strengths.isEmpty() || !strengths.stream().allMatch(s -> s >= 0 && s <= 1)) {
      throw new PeftException("smoothing needs strengths from 0 to 1, was given " + strengths);
    }
  }

  /** Strengths from 0.5 to 0.8. */
  public static Smoothing standard() {
    return new Smoothing(List.of(0.5, 0.6, 0.7, 0.8));
  }

  /**
   * The smoothed graph. Layers that share a weight with another layer stay as they are.
   *
   * @param way whose layers are smoothed; those that it leaves out are not
   * @param rows that the inputs are looked at on
   */
  public Graph apply(Graph graph, Quantization way, BatchSource rows) {
    Map<String, List<QuantizableLayer>> byInput = candidates(graph, way);
    if (byInput.isEmpty()) {
      return graph;
    }
    GraphEditor editor = graph.edit();
    try (Activations activations = new Activations(graph, byInput.keySet(), rows)) {
      Map<String, Extent> extents = activations.extents();
      byInput.forEach(
          (input, layers) -> {
            Extent extent = extents.get(input);
            if (extent != null) {
              smooth(editor, input, extent, layers);
            }
          });
    }
    return editor.build();
  }

  private static Map<String, List<QuantizableLayer>> candidates(Graph graph, Quantization way) {
    List<String> quantized = Selection.of(graph, way.layers(graph), way.excluded()).paths();
    Map<String, List<QuantizableLayer>> byInput = new LinkedHashMap<>();
    GraphView view = new GraphView(graph);
    Map<String, Long> uses =
        QuantizableLayer.of(graph).stream()
            .collect(Collectors.groupingBy(QuantizableLayer::weight, Collectors.counting()));
    for (QuantizableLayer layer : way.layers(graph)) {
      Node node = layer.node();
      boolean own =
          layer.kind() == QuantizableLayer.Kind.LINEAR
              && quantized.contains(layer.path())
              && node.intAttribute("transA", 0) == 0
              && uses.getOrDefault(layer.weight(), 0L) == 1
              && view.onlyConsumer(layer.weight()) != null;
      if (own) {
        byInput.computeIfAbsent(node.requiredInput(0), key -> new ArrayList<>()).add(layer);
      }
    }
    return byInput;
  }

  private void smooth(
      GraphEditor editor, String input, Extent extent, List<QuantizableLayer> layers) {
    SmoothingTrial trial = new SmoothingTrial(extent, layers);
    double least = trial.error(trial.none());
    float[] best = null;
    for (double strength : strengths) {
      float[] factors = trial.factors(strength);
      double error = trial.error(factors);
      if (error < least) {
        least = error;
        best = factors;
      }
    }
    if (best == null) {
      return;
    }
    float[] inverse = new float[best.length];
    for (int j = 0; j < inverse.length; j++) {
      inverse[j] = 1 / best[j];
    }
    String scale =
        editor.constant(
            input + "_smoothing", Tensor.ofFloats(new long[] {inverse.length}, inverse));
    String smoothed = editor.node(input + "_smooth", "Mul", List.of(input, scale));
    for (QuantizableLayer layer : layers) {
      float[] numbers = layer.tensor().toFloats();
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] *= best[SmoothingTrial.channel(layer, i)];
      }
      editor.initializer(layer.weight(), Tensor.ofFloats(layer.tensor().shape(), numbers));
      List<String> inputs = new ArrayList<>(layer.node().inputs());
      inputs.set(0, smoothed);
      editor.replace(layer.node(), layer.node().withInputs(inputs));
    }
  }
}
