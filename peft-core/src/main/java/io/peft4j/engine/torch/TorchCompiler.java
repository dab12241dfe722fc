package io.peft4j.engine.torch;

import io.peft4j.UnsupportedModelException;
import io.peft4j.engine.CompileOptions;
import io.peft4j.graph.DType;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.graph.passes.ConstantEvaluator;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Prints a graph as TorchScript. */
final class TorchCompiler {
  /**
   * A printed graph.
   *
   * @param source TorchScript
   * @param inputs the inputs of a run in the order of the arguments, with the types they are
   *     computed in
   * @param outputs names of the results in order
   * @param weights the frozen tensors in the order of the list {@code w}
   * @param parameters names of the trainable ones in the order of the list {@code a}
   */
  record Script(
      String source,
      List<Value> inputs,
      List<String> outputs,
      Map<String, Tensor> weights,
      List<String> parameters) {}

  private final Graph graph;
  private final CompileOptions options;
  private final ScriptWriter script = new ScriptWriter();
  private final Map<String, Operand> values = new HashMap<>();

  private TorchCompiler(Graph graph, CompileOptions options) {
    this.graph = graph;
    this.options = options;
  }

  /**
   * Prints a graph as it is; fusing and folding come before.
   *
   * @throws UnsupportedModelException if an operator or a form of one has no lowering
   */
  static Script compile(Graph graph, CompileOptions options) {
    return new TorchCompiler(graph, options).run();
  }

  private Script run() {
    List<Value> inputs = new ArrayList<>();
    List<String> arguments = new ArrayList<>();
    for (Value input : graph.inputs()) {
      if (!graph.initializers().containsKey(input.name())) {
        arguments.add("x" + inputs.size());
        inputs.add(declare(input, "x" + inputs.size()));
      }
    }
    List<String> parameters = declareInitializers();
    for (Node node : graph.nodes()) {
      lower(node);
    }
    List<String> results = graph.outputs().stream().map(this::result).toList();
    return new Script(
        script.module(arguments, !parameters.isEmpty(), results),
        inputs,
        graph.outputs().stream().map(Value::name).toList(),
        new LinkedHashMap<>(script.weights()),
        parameters);
  }

  private Value declare(Value input, String argument) {
    DType dtype = input.dtype();
    List<Dim> dims = input.shape();
    if (dtype == null || dims == null) {
      throw new UnsupportedModelException(
          "input '%s' of model '%s' has no type or rank; export the model with declared inputs"
              .formatted(input.name(), graph.name()));
    }
    List<IntExpr> shape = new ArrayList<>();
    for (int i = 0; i < dims.size(); i++) {
      Dim dim = dims.get(i);
      shape.add(
          dim.isFixed()
              ? IntExpr.of(dim.size())
              : IntExpr.code(script.assign("torch.size(" + argument + ", " + i + ")")));
    }
    DType computed = computed(dtype);
    values.put(input.name(), Operand.variable(computed, shape, argument).named(input.name()));
    return new Value(input.name(), computed, dims);
  }

  private DType computed(DType dtype) {
    return dtype == DType.FLOAT32 ? options.precision() : dtype;
  }

  private List<String> declareInitializers() {
    List<String> parameters = new ArrayList<>();
    graph
        .initializers()
        .forEach(
            (name, tensor) -> {
              Tensor remapped =
                  tensor.dtype() == DType.FLOAT32 ? tensor.cast(options.precision()) : tensor;
              if (graph.trainable().contains(name)) {
                Operand known = Operand.constant(remapped, name);
                values.put(
                    name,
                    Operand.variable(
                            remapped.dtype(), known.shape(), "a[" + parameters.size() + "]")
                        .named(name));
                parameters.add(name);
              } else {
                values.put(name, Operand.constant(remapped, name));
              }
            });
    return parameters;
  }

  private void lower(Node node) {
    if (folded(node)) {
      return;
    }
    Lowering lowering = Lowerings.find(node);
    if (lowering == null) {
      throw new UnsupportedModelException(
          "operator %s (opset %s) at node '%s' of model '%s' is not supported by the PyTorch engine; "
                  .formatted(
                      node.domain().isEmpty() ? node.op() : node.domain() + "::" + node.op(),
                      node.domain().isEmpty() ? Graph.OPSET : graph.opsets().get(node.domain()),
                      node.name(),
                      graph.name())
              + "inference may work with --engine onnxruntime");
    }
    LoweringContext context = new LoweringContext(node, options, script, values, graph.name());
    try {
      lowering.lower(context);
    } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
      throw context.unsupported(e.getMessage() == null ? e.toString() : e.getMessage());
    }
  }

  /** Shape arithmetic often leaves nothing but constants: those are computed here. */
  private boolean folded(Node node) {
    List<@Nullable Tensor> inputs = new ArrayList<>();
    for (String input : node.inputs()) {
      Operand operand = values.get(input);
      Tensor constant = operand == null ? null : known(operand);
      if (constant == null || constant.size() > 4096) {
        return false;
      }
      inputs.add(constant);
    }
    if (node.inputs().isEmpty() && !node.is("Constant")) {
      return false;
    }
    Tensor result = ConstantEvaluator.evaluate(node, inputs);
    if (result == null) {
      return false;
    }
    Tensor remapped = result.dtype() == DType.FLOAT32 ? result.cast(options.precision()) : result;
    values.put(node.output(), Operand.constant(remapped, node.output()));
    return true;
  }

  private static @Nullable Tensor known(Operand operand) {
    if (operand.constant() != null) {
      return operand.constant();
    }
    List<IntExpr> ints = operand.ints();
    if (ints == null || !ints.stream().allMatch(IntExpr::isKnown)) {
      return null;
    }
    long[] numbers = ints.stream().mapToLong(i -> i.value().orElseThrow()).toArray();
    long[] shape = operand.rank() == 0 ? new long[0] : new long[] {numbers.length};
    return Tensor.ofLongs(shape, numbers).cast(operand.dtype());
  }

  private String result(Value output) {
    Operand operand = values.get(output.name());
    if (operand == null) {
      throw new IllegalStateException("nothing made " + output.name());
    }
    Node returning =
        Node.of(
            output.name(), "Identity", List.of(output.name()), List.of(output.name()), Map.of());
    return new LoweringContext(returning, options, script, values, graph.name()).tensor(operand);
  }
}
