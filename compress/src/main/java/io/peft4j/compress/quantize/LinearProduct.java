package io.peft4j.compress.quantize;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;

/** Takes a linear layer apart into its product, which can be made another way, and the rest. */
final class LinearProduct {
  private LinearProduct() {}

  /**
   * Removes a MatMul or Gemm and puts what is not its product around a new one.
   *
   * @param product adds what makes the second value, the input times the weight, out of the first
   */
  static void replace(GraphEditor editor, Node node, BiConsumer<String, String> product) {
    editor.removeNodes(node::equals);
    String input = node.requiredInput(0);
    if (node.is("MatMul")) {
      product.accept(input, node.output());
      return;
    }
    if (node.intAttribute("transA", 0) == 1) {
      input =
          editor.node(
              node.name() + "_A",
              "Transpose",
              List.of(input),
              Map.of("perm", Attribute.ofInts(1, 0)));
    }
    String bias = node.input(2);
    float alpha = node.floatAttribute("alpha", 1);
    String value =
        bias == null && alpha == 1 ? node.output() : editor.freshName(node.output() + "_product");
    product.accept(input, value);
    if (alpha != 1) {
      String factor = editor.constant(node.name() + "_alpha", Tensor.scalar(alpha));
      String scaled = bias == null ? node.output() : editor.freshName(node.output() + "_scaled");
      editor.add(
          Node.of(
              node.name() + "_scale", "Mul", List.of(value, factor), List.of(scaled), Map.of()));
      value = scaled;
    }
    if (bias == null) {
      return;
    }
    float beta = node.floatAttribute("beta", 1);
    if (beta != 1) {
      String factor = editor.constant(node.name() + "_beta", Tensor.scalar(beta));
      bias = editor.node(node.name() + "_C", "Mul", List.of(bias, factor));
    }
    editor.add(
        Node.of(
            node.name() + "_bias", "Add", List.of(value, bias), List.of(node.output()), Map.of()));
  }
}
