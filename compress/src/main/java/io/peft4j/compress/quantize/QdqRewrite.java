package io.peft4j.compress.quantize;

import io.peft4j.PeftException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** One graph as its layers get QuantizeLinear and DequantizeLinear around them. */
final class QdqRewrite {
  private final GraphView view;
  private final GraphEditor editor;
  private final Int8Weights weights;
  private final Map<String, ActivationRange> ranges;
  private final Map<String, String> rounded = new HashMap<>();
  private final Set<String> everywhere = new LinkedHashSet<>();

  QdqRewrite(
      Graph graph,
      GraphEditor editor,
      List<QuantizableLayer> layers,
      Map<String, ActivationRange> ranges,
      boolean reduced) {
    view = new GraphView(graph);
    this.editor = editor;
    weights = new Int8Weights(editor, layers, reduced);
    this.ranges = ranges;
  }

  void layer(QuantizableLayer layer) {
    switch (layer.kind()) {
      case EMBEDDING -> EmbeddingRows.replace(editor, layer.node(), weights.table(layer));
      case LINEAR -> linear(layer);
      case CONVOLUTION -> convolution(layer);
    }
  }

  private void linear(QuantizableLayer layer) {
    Node node = layer.node();
    Int8Weights.Names weight = weights.linear(layer);
    String held = dequantized(node.name() + "_weight", weight, 1);
    LinearProduct.replace(
        editor,
        node,
        (input, output) ->
            editor.add(
                Node.of(
                    node.name(),
                    "MatMul",
                    List.of(rounded(input), held),
                    List.of(output),
                    Map.of())));
  }

  private void convolution(QuantizableLayer layer) {
    Node node = layer.node();
    String input = node.requiredInput(0);
    Int8Weights.Names weight = weights.stored(layer);
    List<String> inputs = new ArrayList<>();
    inputs.add(input);
    inputs.add(dequantized(node.name() + "_weight", weight, 0));
    Tensor bias = view.constant(node.input(2));
    if (bias != null) {
      inputs.add(bias(node, bias, range(input), weight));
    }
    editor.replace(node, node.withInputs(inputs));
    everywhere.add(input);
    everywhere.add(StaticInt8.result(view, node));
  }

  /** A bias in int32, whose steps are those of the products: input scale times weight scale. */
  private String bias(Node node, Tensor bias, ActivationRange input, Int8Weights.Names weight) {
    float[] numbers = bias.toFloats();
    float[] scale = weights.tensor(weight.scale()).toFloats();
    ByteBuffer steps = Tensor.allocate(4L * numbers.length);
    for (int c = 0; c < numbers.length; c++) {
      scale[c] *= input.scale();
      steps.putInt(4 * c, (int) Math.rint(numbers[c] / scale[c]));
    }
    String values =
        editor.constant(
            node.name() + "_bias_quantized", Tensor.of(DType.INT32, bias.shape(), steps));
    String scales =
        editor.constant(node.name() + "_bias_scale", Tensor.ofFloats(bias.shape(), scale));
    return editor.node(
        node.name() + "_bias",
        "DequantizeLinear",
        List.of(values, scales),
        Map.of("axis", Attribute.of(0L)));
  }

  private String dequantized(String name, Int8Weights.Names weight, long axis) {
    Tensor scale = weights.tensor(weight.scale());
    String zero = editor.constant(name + "_zero_point", Tensor.zeros(DType.INT8, scale.shape()));
    return editor.node(
        name,
        "DequantizeLinear",
        List.of(weight.values(), weight.scale(), zero),
        Map.of("axis", Attribute.of(axis)));
  }

  private ActivationRange range(String value) {
    ActivationRange range = ranges.get(value);
    if (range == null) {
      throw new PeftException(
          "there is no range for the value '%s'; calibrate the graph that is quantised"
              .formatted(value));
    }
    return range;
  }

  /** A value as its 256 steps leave it. */
  private String rounded(String value) {
    return rounded.computeIfAbsent(
        value,
        key -> {
          ActivationRange range = range(key);
          String scale = editor.constant(key + "_scale", Tensor.scalar(range.scale()));
          String zero = editor.constant(key + "_zero_point", range.zeroTensor());
          String steps =
              editor.node(key + "_QuantizeLinear", "QuantizeLinear", List.of(key, scale, zero));
          return editor.node(
              key + "_DequantizeLinear", "DequantizeLinear", List.of(steps, scale, zero));
        });
  }

  /** Lets all that use what convolutions take and give use its rounded form. */
  void finish() {
    for (String value : everywhere) {
      boolean output = view.isOutput(value);
      String form = rounded(value);
      List<Node> users =
          editor.nodes().stream()
              .filter(n -> n.inputs().contains(value) && !n.is("QuantizeLinear"))
              .toList();
      if (!output) {
        for (Node user : users) {
          editor.replace(
              user,
              user.withInputs(
                  user.inputs().stream().map(i -> i.equals(value) ? form : i).toList()));
        }
      }
    }
  }
}
