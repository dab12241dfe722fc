package io.peft4j.loaders.huggingface;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * The layers that model families are made of, added to a graph one by one. Modules are named by
 * their paths in the reference library ({@code bert.encoder.layer.0.output.dense}); nodes get the
 * names that torch's exporter gives them ({@code /bert/encoder/layer.0/output/dense/MatMul}).
 * Everything computes in float32; weights keep the type they are stored in.
 */
final class GraphBlocks {

  private final GraphEditor editor;
  private final Weights weights;
  private final boolean debug;
  private final Set<String> nodeNames = new HashSet<>();
  private final Set<String> outputs = new HashSet<>();

  /**
   * @param debug whether {@link #hiddenState} adds outputs
   */
  GraphBlocks(String name, Weights weights, boolean debug) {
    editor = new GraphEditor(name);
    this.weights = weights;
    this.debug = debug;
    weights.all().forEach(editor::initializer);
  }

  Weights weights() {
    return weights;
  }

  GraphEditor editor() {
    return editor;
  }

  Graph build() {
    return editor.build();
  }

  /** Declares an input; gives its name. */
  String input(String name, DType dtype, Object... sizes) {
    editor.input(Value.of(name, dtype, sizes));
    return name;
  }

  /** Makes a value an output of the graph and lets it have the output's name, which it gives. */
  String output(String name, String value, Object... sizes) {
    if (outputs.contains(value)) {
      String node = nodeName("", "Identity");
      editor.add(Node.of(node, "Identity", List.of(value), List.of(name), Map.of()));
    } else {
      rename(value, name);
    }
    outputs.add(name);
    editor.output(Value.of(name, DType.FLOAT32, sizes));
    return name;
  }

  private void rename(String from, String to) {
    for (Node node : editor.nodes()) {
      if (node.inputs().contains(from) || node.outputs().contains(from)) {
        editor.replace(
            node,
            node.withInputs(replaced(node.inputs(), from, to))
                .withOutputs(replaced(node.outputs(), from, to)));
      }
    }
  }

  private static List<String> replaced(List<String> names, String from, String to) {
    return names.stream().map(n -> n.equals(from) ? to : n).toList();
  }

  /**
   * Notes the state after a layer, number 0 being the embeddings; an output only while debugging.
   *
   * @return the value to go on with
   */
  String hiddenState(int number, String value, Object... sizes) {
    return hiddenState("hidden_states." + number, value, sizes);
  }

  /** As {@link #hiddenState(int, String, Object...)}, under a name in full. */
  String hiddenState(String name, String value, Object... sizes) {
    return debug ? output(name, value, sizes) : value;
  }

  /** Adds a node of a module; gives its output. */
  String node(String module, String op, String... inputs) {
    return node(module, op, Map.of(), inputs);
  }

  /** Adds a node of a module; gives its output. */
  String node(String module, String op, Map<String, Attribute> attributes, String... inputs) {
    return editor.node(nodeName(module, op), op, List.of(inputs), attributes);
  }

  /** The name of a node as torch's exporter makes it: modules with '/', numbered ones with '.'. */
  private String nodeName(String module, String op) {
    String scope = module.isEmpty() ? "" : "/" + module.replaceAll("\\.(?!\\d+(\\.|$))", "/");
    String name = scope + "/" + op;
    for (int i = 1; !nodeNames.add(name); i++) {
      name = scope + "/" + op + "_" + i;
    }
    return name;
  }

  /** Adds a constant that belongs to a module; gives its name. */
  String constant(String module, String what, Tensor tensor) {
    return editor.constant(
        Graph.CONSTANT + (module.isEmpty() ? what : module + "." + what), tensor);
  }

  /** A weight as float32; gives the value. */
  String weight(String module, String name, long... shape) {
    String key = weights.key(module.isEmpty() ? name : module + "." + name, shape);
    DType stored = weights.dtype(key);
    if (!stored.isFloat()) {
      throw new UnsupportedModelException(
          "%s: tensor '%s' is %s; weights of 16 bits and more are supported, use the checkpoint that"
                  .formatted(weights.file(), key, stored.label())
              + " is not quantised");
    }
    return stored == DType.FLOAT32 ? key : cast(module, key);
  }

  /** Any value as float32. */
  String cast(String module, String value) {
    return node(module, "Cast", Map.of("to", Attribute.of(DType.FLOAT32.onnxCode())), value);
  }

  /** x Wᵀ + b; x [..., in] to [..., out]. */
  String linear(String module, String x, long in, long out) {
    return node(module, "Add", product(module, x, in, out), weight(module, "bias", out));
  }

  /** x W + b with W as [in, out], as the reference library's Conv1D holds it. */
  String conv1d(String module, String x, long in, long out) {
    String product = node(module, "MatMul", x, weight(module, "weight", in, out));
    return node(module, "Add", product, weight(module, "bias", out));
  }

  /** x Wᵀ; x [..., in] to [..., out]. */
  String product(String module, String x, long in, long out) {
    return product(module, x, weight(module, "weight", out, in));
  }

  /** x Wᵀ with W as [out, in], which may belong to another module. */
  String product(String module, String x, String weight) {
    String transposed = node(module, "Transpose", Map.of("perm", Attribute.ofInts(1, 0)), weight);
    return node(module, "MatMul", x, transposed);
  }

  /** The rows of a table that ids choose; ids [...] to [..., width]. */
  String embedding(String module, String ids, long rows, long width) {
    return node(module, "Gather", weight(module, "weight", rows, width), ids);
  }

  /** The size of axis 1, as int64 [1]. */
  String sequenceLength(String module, String value) {
    return node(module, "Shape", Map.of("start", Attribute.of(1), "end", Attribute.of(2)), value);
  }

  /** Layer normalisation over the last axis with weight and bias. */
  String layerNorm(String module, String x, long width, double epsilon) {
    return node(
        module,
        "LayerNormalization",
        Map.of("axis", Attribute.of(-1), "epsilon", Attribute.of((float) epsilon)),
        x,
        weight(module, "weight", width),
        weight(module, "bias", width));
  }

  /**
   * Weight · x / √(mean(x²) + ε) over the last axis (Zhang and Sennrich 2019, arXiv 1910.07467).
   */
  String rmsNorm(String module, String x, long width, double epsilon) {
    String square = node(module, "Pow", x, constant(module, "two", Tensor.scalar(2f)));
    String mean = node(module, "ReduceMean", square, constant(module, "axes", Tensor.vector(-1)));
    String small = constant(module, "epsilon", Tensor.scalar((float) epsilon));
    String root = node(module, "Sqrt", node(module, "Add", mean, small));
    String normalised = node(module, "Mul", x, node(module, "Reciprocal", root));
    return node(module, "Mul", weight(module, "weight", width), normalised);
  }

  /** Cuts the last axis into parts of one size. */
  List<String> split(String module, String x, long size, int parts) {
    String name = nodeName(module, "Split");
    List<String> outputs =
        IntStream.range(0, parts).mapToObj(i -> editor.freshName(name + "_output_" + i)).toList();
    long[] sizes = LongStream.generate(() -> size).limit(parts).toArray();
    List<String> inputs = List.of(x, constant(module, "sizes", Tensor.vector(sizes)));
    editor.add(Node.of(name, "Split", inputs, outputs, Map.of("axis", Attribute.of(-1))));
    return outputs;
  }

  /** 0, 1, 2, … as int64, as many as a sequence has tokens. */
  String positions(String module, String ids) {
    String length = node(module, "Squeeze", sequenceLength(module, ids));
    String zero = constant(module, "first_position", Tensor.scalar(0L));
    String one = constant(module, "position_step", Tensor.scalar(1L));
    return node(module, "Range", zero, length, one);
  }

  /** Dropout in training; no node where the ratio is 0. */
  String dropout(String module, String x, double ratio) {
    return ratio == 0
        ? x
        : node(module, "Dropout", x, constant(module, "ratio", Tensor.scalar((float) ratio)));
  }

  /** The vectors of the first token: [batch, sequence, width] to [batch, width]. */
  String firstToken(String module, String x) {
    return node(
        module,
        "Gather",
        Map.of("axis", Attribute.of(1)),
        x,
        constant(module, "first", Tensor.scalar(0L)));
  }
}
