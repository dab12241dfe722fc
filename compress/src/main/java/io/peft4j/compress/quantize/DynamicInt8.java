package io.peft4j.compress.quantize;

import io.peft4j.format.Checkpoint;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Linear layers computed in int8, their inputs quantised as they come: weights int8 with a scale
 * for each output, inputs uint8 with a scale and a zero point that each run finds
 * (DynamicQuantizeLinear, MatMulInteger: the form that ONNX Runtime computes as one). Tables of
 * vectors are int8 with a scale for each row. Needs no data.
 *
 * @param reduced whether weights end at 64 instead of 127: on processors without VNNI larger ones
 *     can overflow the 16 bits that ONNX Runtime adds two products in
 * @param excluded layers that stay float, by module path or the last parts of it
 */
public record DynamicInt8(boolean reduced, Set<String> excluded) implements Quantization {
  public DynamicInt8 {
    excluded = Set.copyOf(excluded);
  }

  /** All layers, full range. */
  public static DynamicInt8 standard() {
    return new DynamicInt8(false, Set.of());
  }

  @Override
  public DynamicInt8 excluding(Collection<String> layers) {
    return new DynamicInt8(reduced, Set.copyOf(layers));
  }

  @Override
  public QuantizedModel apply(Graph graph) {
    Selection selection = Selection.of(graph, layers(graph), excluded);
    Rewrite rewrite = new Rewrite(graph.edit(), selection.layers(), reduced);
    selection.layers().forEach(rewrite::layer);
    Map<String, Object> note =
        new TreeMap<>(
            Map.of(
                "mode",
                "dynamic",
                "type",
                "int8",
                "reduced",
                reduced,
                "excluded",
                List.copyOf(selection.left().keySet())));
    rewrite.editor.metadata(METADATA_KEY, Checkpoint.text(note));
    Map<String, String> left = new LinkedHashMap<>(selection.left());
    QuantizableLayer.of(graph).stream()
        .filter(layer -> layer.kind() == QuantizableLayer.Kind.CONVOLUTION)
        .forEach(layer -> left.put(layer.path(), "a convolution, which only static int8 takes"));
    return new QuantizedModel(rewrite.editor.prune().build(), selection.paths(), left);
  }

  @Override
  public List<QuantizableLayer> layers(Graph graph) {
    return QuantizableLayer.of(graph).stream()
        .filter(layer -> layer.kind() != QuantizableLayer.Kind.CONVOLUTION)
        .toList();
  }

  /** An input as integers. */
  private record Quantized(String values, String scale, String zero) {}

  /** One graph as it is rewritten. */
  private static final class Rewrite {
    private final GraphEditor editor;
    private final Int8Weights weights;
    private final Map<String, Quantized> inputs = new HashMap<>();

    Rewrite(GraphEditor editor, List<QuantizableLayer> layers, boolean reduced) {
      this.editor = editor;
      weights = new Int8Weights(editor, layers, reduced);
    }

    void layer(QuantizableLayer layer) {
      switch (layer.kind()) {
        case EMBEDDING -> EmbeddingRows.replace(editor, layer.node(), weights.table(layer));
        case LINEAR ->
            LinearProduct.replace(
                editor, layer.node(), (input, output) -> product(layer, input, output));
        case CONVOLUTION -> throw new IllegalStateException(layer.path());
      }
    }

    /** The order of the operators is the one that ONNX Runtime fuses. */
    private void product(QuantizableLayer layer, String input, String output) {
      String name = layer.node().name();
      Quantized x = inputs.computeIfAbsent(input, this::quantized);
      Int8Weights.Names weight = weights.linear(layer);
      String sums =
          editor.node(
              name + "_quant", "MatMulInteger", List.of(x.values(), weight.values(), x.zero()));
      String real =
          editor.node(
              name + "_cast",
              "Cast",
              List.of(sums),
              Map.of("to", Attribute.of((long) DType.FLOAT32.onnxCode())));
      String scales = editor.node(name + "_scales", "Mul", List.of(x.scale(), weight.scale()));
      editor.add(
          Node.of(name + "_dequant", "Mul", List.of(real, scales), List.of(output), Map.of()));
    }

    private Quantized quantized(String value) {
      Quantized names =
          new Quantized(
              editor.freshName(value + "_quantized"),
              editor.freshName(value + "_scale"),
              editor.freshName(value + "_zero_point"));
      editor.add(
          Node.of(
              value + "_QuantizeLinear",
              "DynamicQuantizeLinear",
              List.of(value),
              List.of(names.values(), names.scale(), names.zero()),
              Map.of()));
      return names;
    }
  }
}
