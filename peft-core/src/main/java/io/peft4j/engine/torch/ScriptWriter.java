package io.peft4j.engine.torch;

import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Collects the statements of a program and the weights that it takes as arguments. */
final class ScriptWriter {
  private final List<String> lines = new ArrayList<>();
  private final Map<String, Tensor> weights = new LinkedHashMap<>();
  private final Map<String, Integer> weightIndex = new LinkedHashMap<>();
  private int variables;

  /** Adds {@code variable = expression} and gives the variable. */
  String assign(String expression) {
    String variable = "v" + variables++;
    lines.add(variable + " = " + expression);
    return variable;
  }

  /** The argument that holds a frozen weight. */
  String weight(String name, Tensor tensor) {
    Integer index = weightIndex.get(name);
    if (index == null) {
      index = weights.size();
      weights.put(name, tensor);
      weightIndex.put(name, index);
    }
    return "w[" + index + "]";
  }

  Map<String, Tensor> weights() {
    return weights;
  }

  /**
   * The module: a forward function of the inputs, the list of weights and the list of parameters.
   */
  String module(List<String> inputs, boolean parameters, List<String> results) {
    StringBuilder source =
        new StringBuilder(
            """
            class M(Module):
              __parameters__ = []
              __buffers__ = []
              training : bool
              def forward(self: __torch__.M\
            """);
    inputs.forEach(input -> source.append(",\n    ").append(input).append(": Tensor"));
    if (!weights.isEmpty()) {
      source.append(",\n    w: List[Tensor]");
    }
    if (parameters) {
      source.append(",\n    a: List[Tensor]");
    }
    boolean one = results.size() == 1;
    source.append(") -> ");
    source.append(one ? "Tensor" : "Tuple[" + "Tensor, ".repeat(results.size() - 1) + "Tensor]");
    source.append(":\n");
    lines.forEach(line -> source.append("    ").append(line).append('\n'));
    source.append("    return ");
    source.append(one ? results.get(0) : "(" + String.join(", ", results) + ")");
    return source.append('\n').toString();
  }

  /** A float as TorchScript reads it back exactly. */
  static String number(double value) {
    if (Double.isNaN(value)) {
      return "float(\"nan\")";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "float(\"inf\")" : "float(\"-inf\")";
    }
    String text = Double.toString(value).replace("E", "e");
    return text.contains("e") && !text.contains("e-") ? text.replace("e", "e+") : text;
  }

  /** The number that torch knows an element type by. */
  static int code(DType dtype) {
    return switch (dtype) {
      case UINT8 -> 0;
      case INT8 -> 1;
      case INT16 -> 2;
      case INT32 -> 3;
      case INT64 -> 4;
      case FLOAT16 -> 5;
      case FLOAT32 -> 6;
      case FLOAT64 -> 7;
      case BOOL -> 11;
      case BFLOAT16 -> 15;
      default -> throw new IllegalArgumentException(dtype.label());
    };
  }
}
