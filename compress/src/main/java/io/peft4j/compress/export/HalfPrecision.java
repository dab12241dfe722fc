package io.peft4j.compress.export;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A graph whose float32 weights and computation are float16; its inputs and outputs keep their
 * types. What float16 has neither range nor digits for stays float32: powers, roots, exponentials,
 * means, softmax and normalisation, the elementwise steps between them, and the angles of rotary
 * positions.
 */
final class HalfPrecision {
  private static final double LARGEST = 65504; // of float16
  private static final double INFINITE = 1e9; // a constant beyond this stands for minus infinity
  private static final float MASKED = 10_000; // in its place: the scores of attention stay below
  private static final float SMALLEST = 0x1p-24f; // of float16 above 0

  private static final Set<String> FULL =
      Set.of(
          "Cos",
          "CumSum",
          "Exp",
          "InstanceNormalization",
          "LayerNormalization",
          "Log",
          "LogSoftmax",
          "Pow",
          "Range",
          "Reciprocal",
          "ReduceL1",
          "ReduceL2",
          "ReduceLogSum",
          "ReduceLogSumExp",
          "ReduceMean",
          "ReduceProd",
          "ReduceSum",
          "ReduceSumSquare",
          "Resize",
          "Sin",
          "Softmax",
          "Sqrt");

  private static final Set<String> ELEMENTWISE =
      Set.of("Add", "Sub", "Mul", "Div", "Neg", "Max", "Min", "Where", "Clip");

  /** Operators that move values and change none. */
  private static final Set<String> MOVING =
      Set.of(
          "Concat",
          "Expand",
          "Flatten",
          "Gather",
          "Identity",
          "Reshape",
          "Slice",
          "Split",
          "Squeeze",
          "Tile",
          "Transpose",
          "Unsqueeze");

  private final Graph graph;
  private final GraphView view;
  private final ValueTypes types;
  private final GraphEditor editor;
  private final Set<Node> angles = new HashSet<>();
  private final Map<String, DType> present = new HashMap<>();
  private final Map<List<Object>, String> versions = new HashMap<>();

  private HalfPrecision(Graph graph) {
    this.graph = graph;
    view = new GraphView(graph);
    types = new ValueTypes(graph);
    editor = new GraphEditor(graph.name());
  }

  /**
   * @throws UnsupportedModelException if a weight is beyond the range of float16, or the graph
   *     holds control flow, quantised operators or other operators than ONNX's own
   */
  static Graph of(Graph graph) {
    return new HalfPrecision(withoutConstants(graph)).converted();
  }

  /** Constant nodes as initializers: those that float32 steps use must keep their digits. */
  private static Graph withoutConstants(Graph graph) {
    GraphEditor editor = graph.edit();
    for (Node node : graph.nodes()) {
      Tensor held = node.is("Constant") ? held(node) : null;
      if (held != null && graph.outputs().stream().noneMatch(v -> v.name().equals(node.output()))) {
        editor.removeNodes(node::equals);
        editor.initializer(node.output(), held);
      }
    }
    return editor.build();
  }

  private Graph converted() {
    for (Node node : graph.nodes()) {
      if (node.is("Cos") || node.is("Sin")) {
        markAngles(node);
      }
    }
    graph.inputs().forEach(editor::input);
    graph.inputs().stream().map(Value::name).filter(types::isFloat32).forEach(this::full);
    graph
        .initializers()
        .forEach(
            (name, tensor) -> {
              if (!types.isFloat32(name)) {
                editor.initializer(name, tensor);
              }
            });
    graph.nodes().forEach(this::convert);
    graph.outputs().forEach(this::output);
    graph.opsets().forEach(editor::opset);
    graph.metadata().forEach(editor::metadata);
    return editor.build();
  }

  private void full(String name) {
    present.put(name, DType.FLOAT32);
  }

  private void markAngles(Node node) {
    if (angles.add(node)) {
      for (String input : node.inputs()) {
        Node before = view.producer(input);
        if (before != null && types.isFloat32(input)) {
          markAngles(before);
        }
      }
    }
  }

  private void convert(Node node) {
    DType wanted = staysFull(node) ? DType.FLOAT32 : DType.FLOAT16;
    List<String> inputs = new ArrayList<>();
    for (String input : node.inputs()) {
      inputs.add(!input.isEmpty() && types.isFloat32(input) ? as(input, wanted) : input);
    }
    Node changed = node.withInputs(inputs);
    boolean gives = node.outputs().stream().anyMatch(types::isFloat32);
    if (gives && wanted == DType.FLOAT16) {
      changed = changed.withAttributes(narrowed(node));
    }
    List<String> outputs = new ArrayList<>();
    for (String output : node.outputs()) {
      boolean narrow = types.isFloat32(output) && wanted == DType.FLOAT16;
      if (types.isFloat32(output)) {
        present.put(output, wanted);
      }
      // An output of the graph is given again as float32, under its own name.
      outputs.add(narrow && view.isOutput(output) ? half(output) : output);
    }
    editor.add(changed.withOutputs(outputs));
  }

  private static String half(String output) {
    return output + "_float16";
  }

  private boolean staysFull(Node node) {
    if (FULL.contains(node.op()) || angles.contains(node)) {
      return true;
    }
    if (node.is("Cast") || node.is("CastLike")) { // of whole numbers, which may be large
      return node.outputs().stream().anyMatch(types::isFloat32)
          && !types.isFloat32(node.requiredInput(0));
    }
    if (!ELEMENTWISE.contains(node.op()) && !MOVING.contains(node.op())) {
      return false;
    }
    List<String> computed =
        node.inputs().stream()
            .filter(i -> !i.isEmpty() && types.isFloat32(i) && present.containsKey(i))
            .toList();
    return !computed.isEmpty() && computed.stream().allMatch(i -> present.get(i) == DType.FLOAT32);
  }

  /** The name of a float32 value in the type that a node computes in. */
  private String as(String name, DType wanted) {
    Tensor weight = graph.initializers().get(name);
    boolean given = graph.inputs().stream().anyMatch(v -> v.name().equals(name));
    if (weight != null && !given) {
      return versions.computeIfAbsent(List.of(name, wanted), key -> weight(name, weight, wanted));
    }
    DType now = present.get(name);
    if (now == wanted) {
      return now == DType.FLOAT16 && view.isOutput(name) ? half(name) : name;
    }
    return versions.computeIfAbsent(List.of(name, wanted), key -> cast(name, wanted));
  }

  private String cast(String name, DType wanted) {
    String source = wanted == DType.FLOAT32 && view.isOutput(name) ? half(name) : name;
    return editor.node(
        name + "/as_" + wanted.label(),
        "Cast",
        List.of(source),
        Map.of("to", Attribute.of((long) wanted.onnxCode())));
  }

  private String weight(String name, Tensor weight, DType wanted) {
    String other =
        versions.get(List.of(name, wanted == DType.FLOAT16 ? DType.FLOAT32 : DType.FLOAT16));
    String key = other == null ? name : name + "_" + wanted.label();
    editor.initializer(key, narrowed(name, weight, wanted));
    return key;
  }

  private static Tensor narrowed(String name, Tensor tensor, DType wanted) {
    float[] values = tensor.toFloats();
    boolean changed = false;
    for (int i = 0; i < values.length; i++) {
      if (Math.abs(values[i]) >= INFINITE && !Float.isNaN(values[i])) {
        values[i] = Math.copySign(MASKED, values[i]);
        changed = true;
      } else if (wanted == DType.FLOAT16 && values.length == 1 && isLost(values[i])) {
        values[i] = Math.copySign(SMALLEST, values[i]); // what keeps a divisor from 0 must not be 0
        changed = true;
      } else if (wanted == DType.FLOAT16 && Math.abs(values[i]) > LARGEST) {
        throw new UnsupportedModelException(
            "weight '%s' holds %g, which float16 cannot; leave float16 off"
                .formatted(name, values[i]));
      }
    }
    Tensor kept = changed ? Tensor.ofFloats(tensor.shape(), values) : tensor;
    return wanted == DType.FLOAT16 ? kept.cast(DType.FLOAT16) : kept;
  }

  private static boolean isLost(float value) {
    return value != 0 && Math.abs(value) < SMALLEST;
  }

  /** What a node holds or makes of float32, as float16. */
  private static Map<String, Attribute> narrowed(Node node) {
    Map<String, Attribute> attributes = new LinkedHashMap<>(node.attributes());
    String type = node.is("Cast") ? "to" : "dtype";
    if (node.intAttribute(type, 0) == DType.FLOAT32.onnxCode()) {
      attributes.put(type, Attribute.of((long) DType.FLOAT16.onnxCode()));
    }
    Tensor held = held(node);
    if (held != null) {
      attributes.keySet().removeIf(key -> key.startsWith("value"));
      attributes.put("value", Attribute.of(narrowed(node.output(), held, DType.FLOAT16)));
    }
    return attributes;
  }

  private static @Nullable Tensor held(Node node) {
    if (node.is("ConstantOfShape") && !node.attributes().containsKey("value")) {
      return Tensor.ofFloats(new long[] {1}, 0);
    }
    if (node.attributes().get("value") instanceof Attribute.TensorValue tensor) {
      return tensor.value();
    }
    if (node.attributes().get("value_float") instanceof Attribute.FloatValue number) {
      return Tensor.scalar(number.value());
    }
    if (node.attributes().get("value_floats") instanceof Attribute.Floats numbers) {
      float[] values = new float[numbers.values().size()];
      for (int i = 0; i < values.length; i++) {
        values[i] = numbers.values().get(i);
      }
      return Tensor.ofFloats(new long[] {values.length}, values);
    }
    return null;
  }

  private void output(Value output) {
    editor.output(output);
    if (types.isFloat32(output.name()) && present.get(output.name()) == DType.FLOAT16) {
      Attribute type = Attribute.of((long) DType.FLOAT32.onnxCode());
      List<String> source = List.of(half(output.name()));
      editor.add(
          Node.of(
              half(output.name()) + "/Cast",
              "Cast",
              source,
              List.of(output.name()),
              Map.of("to", type)));
    }
  }
}
