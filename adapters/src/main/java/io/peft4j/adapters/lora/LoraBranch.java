package io.peft4j.adapters.lora;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.site.LinearSite;
import java.util.List;
import java.util.Map;

/** The nodes beside one linear layer: dropout, A, B, scale and the sum. */
final class LoraBranch {
  private final GraphEditor editor;
  private final LinearSite site;
  private final String scope;
  private final String adapter;

  LoraBranch(GraphEditor editor, LinearSite site, String adapter) {
    this.editor = editor;
    this.site = site;
    this.adapter = adapter;
    scope = "/" + site.path().replaceAll("\\.(?!\\d)", "/");
  }

  /**
   * Adds the branch with A and B as the initializers of these names; every use of the layer's
   * output takes the sum.
   */
  void add(String a, String b, double scale, double dropout) {
    String x = cast("", site.input(), DType.FLOAT32);
    if (dropout > 0) {
      String ratio =
          editor.constant(site.path() + ".lora_dropout." + adapter, Tensor.scalar((float) dropout));
      x = editor.node(name("lora_dropout", "Dropout"), "Dropout", List.of(x, ratio));
    }
    String low = product("lora_A", x, a);
    String high = product("lora_B", low, b);
    String factor =
        editor.constant(site.path() + ".scaling." + adapter, Tensor.scalar((float) scale));
    String scaled = editor.node(name("scaling", "Mul"), "Mul", List.of(high, factor));
    String delta = cast("lora_B", scaled, site.dtype());
    String sum = editor.node(name("", "Add"), "Add", List.of(site.output(), delta));
    editor.replaceUses(site.output(), sum, node -> node.outputs().contains(sum));
  }

  private String product(String part, String x, String weight) {
    String transposed =
        editor.node(
            name(part, "Transpose"),
            "Transpose",
            List.of(weight),
            Map.of("perm", Attribute.ofInts(1, 0)));
    return editor.node(name(part, "MatMul"), "MatMul", List.of(x, transposed));
  }

  private String cast(String part, String value, DType target) {
    return site.dtype() == DType.FLOAT32
        ? value
        : editor.node(
            name(part, "Cast"),
            "Cast",
            List.of(value),
            Map.of("to", Attribute.of((long) target.onnxCode())));
  }

  private String name(String part, String op) {
    return scope + (part.isEmpty() ? "" : "/" + part) + "/" + adapter + "/" + op;
  }
}
