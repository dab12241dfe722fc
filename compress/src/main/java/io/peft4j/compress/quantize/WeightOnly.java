package io.peft4j.compress.quantize;

import io.peft4j.format.Checkpoint;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Weights held in few bits and computed with in float32: for smaller files, and as a frozen base
 * that adapters train on. ONNX Runtime makes the float weights as it runs; the PyTorch engine once,
 * when it compiles.
 *
 * @param excluded layers that stay float, by module path or the last parts of it
 */
public record WeightOnly(WeightFormat format, Set<String> excluded) implements Quantization {
  public WeightOnly {
    excluded = Set.copyOf(excluded);
  }

  /** All layers in this format. */
  public static WeightOnly in(WeightFormat format) {
    return new WeightOnly(format, Set.of());
  }

  @Override
  public WeightOnly excluding(Collection<String> layers) {
    return new WeightOnly(format, Set.copyOf(layers));
  }

  @Override
  public QuantizedModel apply(Graph graph) {
    Selection selection = Selection.of(graph, layers(graph), excluded);
    Set<String> used = new LinkedHashSet<>();
    for (QuantizableLayer layer : layers(graph)) {
      if (selection.left().containsKey(layer.path())) {
        used.add(layer.weight());
      }
    }
    Map<String, String> left = new LinkedHashMap<>(selection.left());
    GraphEditor editor = graph.edit();
    Set<String> done = new HashSet<>();
    for (QuantizableLayer layer : selection.layers()) {
      if (used.contains(layer.weight())) {
        left.put(layer.path(), "shares its weight with a layer that is left");
      } else if (done.add(layer.weight())) {
        format.store(
            editor, layer.weight(), layer.tensor(), layer.inputAxis(), layer.channelAxis());
      }
    }
    Map<String, Object> note =
        new TreeMap<>(
            Map.of(
                "mode", "weight-only",
                "type", format.label(),
                "excluded", List.copyOf(left.keySet())));
    editor.metadata(METADATA_KEY, Checkpoint.text(note));
    List<String> quantized =
        selection.paths().stream().filter(path -> !left.containsKey(path)).toList();
    return new QuantizedModel(editor.build(), quantized, left);
  }
}
