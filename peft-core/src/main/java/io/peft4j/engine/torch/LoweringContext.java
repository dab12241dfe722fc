package io.peft4j.engine.torch;

import io.peft4j.UnsupportedModelException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.graph.DType;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.passes.TensorShapes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What a lowering sees: the node, its operands, and the script that it adds to. */
final class LoweringContext {
  final Node node;
  final CompileOptions options;
  private final ScriptWriter script;
  private final Map<String, Operand> values;
  private final String model;

  LoweringContext(
      Node node,
      CompileOptions options,
      ScriptWriter script,
      Map<String, Operand> values,
      String model) {
    this.node = node;
    this.options = options;
    this.script = script;
    this.values = values;
    this.model = model;
  }

  /** An input that the operator cannot do without. */
  Operand in(int index) {
    Operand operand = optional(index);
    if (operand == null) {
      throw unsupported("input " + index + " is missing");
    }
    return operand;
  }

  /** An input, or null if it is not given. */
  @Nullable Operand optional(int index) {
    String name = node.input(index);
    return name == null ? null : values.get(name);
  }

  boolean has(int index) {
    return node.input(index) != null;
  }

  /** The TorchScript expression of an operand as a tensor. */
  String tensor(Operand operand) {
    if (operand.variable() != null) {
      return operand.variable();
    }
    String variable;
    if (operand.constant() != null) {
      variable = script.weight(operand.name(), operand.constant());
    } else if (operand.ints() != null) {
      String content =
          operand.rank() == 0 ? operand.ints().get(0).code() : IntExpr.list(operand.ints());
      // TorchScript takes an empty list for one of tensors
      String function =
          content.equals("[]") ? "torch.zeros([0], dtype=" : "torch.tensor(" + content + ", dtype=";
      variable = script.assign(function + ScriptWriter.code(operand.dtype()) + ")");
    } else {
      throw new IllegalStateException(operand.name() + " has no content");
    }
    if (!operand.name().isEmpty()) {
      values.put(operand.name(), operand.withVariable(variable));
    }
    return variable;
  }

  /** The TorchScript expression of a required input as a tensor. */
  String tensor(int index) {
    return tensor(in(index));
  }

  String assign(String expression) {
    return script.assign(expression);
  }

  /** Sets the only or first output to a new variable. */
  void result(DType dtype, List<IntExpr> shape, String expression) {
    set(0, Operand.variable(dtype, shape, assign(expression)));
  }

  /** As {@link #result}, where the sizes are those that the tensor turns out to have. */
  void measured(DType dtype, int rank, String expression) {
    String variable = assign(expression);
    set(0, Operand.variable(dtype, sizes(variable, rank), variable));
  }

  void set(int output, Operand operand) {
    String name = node.outputs().get(output);
    if (!name.isEmpty()) {
      values.put(name, operand.named(name));
    }
  }

  static List<IntExpr> sizes(String variable, int rank) {
    List<IntExpr> shape = new ArrayList<>();
    for (int i = 0; i < rank; i++) {
      shape.add(size(variable, i));
    }
    return shape;
  }

  static IntExpr size(String variable, int axis) {
    return IntExpr.code("torch.size(" + variable + ", " + axis + ")");
  }

  /**
   * The elements of an integer input as numbers of the program: known, of shape arithmetic, or read
   * from a tensor.
   */
  List<IntExpr> ints(int index) {
    Operand operand = in(index);
    if (operand.ints() != null) {
      return operand.ints();
    }
    if (operand.constant() != null && operand.rank() <= 1) {
      return Arrays.stream(operand.constant().toLongs()).mapToObj(IntExpr::of).toList();
    }
    if (operand.rank() == 0) {
      return List.of(IntExpr.code(assign("int(" + tensor(operand) + ")")));
    }
    if (operand.rank() == 1 && operand.dim(0).known() != null) {
      List<IntExpr> elements = new ArrayList<>();
      for (int i = 0; i < operand.dim(0).known(); i++) {
        elements.add(
            IntExpr.code(assign("int(torch.select(" + tensor(operand) + ", 0, " + i + "))")));
      }
      return elements;
    }
    throw unsupported(
        "input " + index + " decides the rank of a result, which only a run could tell");
  }

  /**
   * The elements of an integer input that must be known when compiling; null if it is not given.
   */
  long @Nullable [] knownInts(int index) {
    Operand operand = optional(index);
    if (operand == null) {
      return null;
    }
    List<IntExpr> elements = ints(index);
    long[] result = new long[elements.size()];
    for (int i = 0; i < result.length; i++) {
      Long known = elements.get(i).known();
      if (known == null) {
        throw unsupported("input " + index + " must be a constant");
      }
      result[i] = known;
    }
    return result;
  }

  /** An axis attribute counted from the front. */
  int axis(String attribute, long absent, int rank) {
    return TensorShapes.axis(node.intAttribute(attribute, absent), rank);
  }

  /**
   * The shape that operands broadcast to, where sizes that cannot be compared are read from the
   * result.
   */
  List<IntExpr> broadcast(List<Operand> operands, String result) {
    int rank = operands.stream().mapToInt(Operand::rank).max().orElse(0);
    List<IntExpr> shape = new ArrayList<>();
    for (int i = 0; i < rank; i++) {
      shape.add(broadcastDim(operands, i - rank, result, i));
    }
    return shape;
  }

  private static IntExpr broadcastDim(List<Operand> operands, int axis, String result, int place) {
    IntExpr chosen = IntExpr.of(1);
    for (Operand operand : operands) {
      if (-axis > operand.rank()) {
        continue;
      }
      IntExpr dim = operand.dim(axis);
      if (dim.is(1) || dim.same(chosen)) {
        continue;
      }
      if (chosen.is(1) || (dim.isKnown() && !chosen.isKnown())) {
        // A known size above 1 wins over one that a run decides: that one can only be the same or
        // 1.
        chosen = chosen.is(1) || dim.isKnown() ? dim : chosen;
      } else if (!chosen.isKnown()) {
        return size(result, place);
      }
    }
    return chosen;
  }

  /** The element type that a type of the graph is computed in. */
  DType computed(DType dtype) {
    return dtype == DType.FLOAT32 ? options.precision() : dtype;
  }

  Tensor constant(int index, String what) {
    Tensor tensor = in(index).constant();
    if (tensor == null) {
      throw unsupported(what + " must be a constant");
    }
    return tensor;
  }

  UnsupportedModelException unsupported(String why) {
    return new UnsupportedModelException(
        "%s of model '%s' cannot be compiled for the PyTorch engine: %s"
            .formatted(node.describe(), model, why));
  }
}
