package io.peft4j.loaders.onnx;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Writes the operators of older ONNX operator sets so that they mean the same in {@link
 * Graph#OPSET}. Source of each rule: the operator's change log in the ONNX specification; versions
 * that only widen types or add inputs and attributes whose absence means what was meant before need
 * no rule.
 */
final class OpsetUpgrade {
  private static final int OLDEST = 9;

  /** Reductions whose {@code axes} became an input in version 18; ReduceSum's did in 13. */
  static final List<String> REDUCTIONS =
      List.of(
          "ReduceL1",
          "ReduceL2",
          "ReduceLogSum",
          "ReduceLogSumExp",
          "ReduceMax",
          "ReduceMean",
          "ReduceMin",
          "ReduceProd",
          "ReduceSumSquare");

  private static final Map<String, List<Rule>> RULES = rules();

  /** Rewrites one node. */
  @FunctionalInterface
  private interface Rewrite {
    void apply(OpsetUpgrade upgrade, Node node);
  }

  /** For nodes of an operator set older than {@code version}. */
  private record Rule(int version, Rewrite rewrite) {}

  private final GraphEditor editor;
  private final Map<String, List<Dim>> shapes = new HashMap<>();

  private OpsetUpgrade(Graph graph) {
    editor = graph.edit();
    graph.values().values().forEach(this::noteShape);
    graph.inputs().forEach(this::noteShape);
    graph
        .initializers()
        .forEach(
            (name, tensor) ->
                shapes.put(name, Arrays.stream(tensor.shape()).mapToObj(Dim::of).toList()));
  }

  private void noteShape(Value value) {
    List<Dim> shape = value.shape();
    if (shape != null) {
      shapes.put(value.name(), shape);
    }
  }

  /**
   * The same model in the operators of {@link Graph#OPSET}.
   *
   * @param from the operator set that the graph's nodes are of
   * @throws UnsupportedModelException if that is not one of 9 to 21, or a node has no equal there
   */
  static Graph upgrade(Graph graph, int from) {
    if (from < OLDEST || from > Graph.OPSET) {
      throw new UnsupportedModelException(
          "it uses ONNX opset %d; %d to %d are supported: export the model in one of them"
              .formatted(from, OLDEST, Graph.OPSET));
    }
    return from == Graph.OPSET ? graph : new OpsetUpgrade(graph).rewritten(graph, from);
  }

  private Graph rewritten(Graph graph, int from) {
    for (Node original : graph.nodes()) {
      Node node = withBodies(original, from);
      if (!node.equals(original)) {
        editor.replace(original, node);
      }
      List<Rule> rules =
          node.domain().isEmpty() ? RULES.getOrDefault(node.op(), List.of()) : List.of();
      rules.stream().filter(r -> from < r.version()).forEach(r -> r.rewrite().apply(this, node));
    }
    return editor.build();
  }

  private static Node withBodies(Node node, int from) {
    if (node.attributes().values().stream().allMatch(a -> a.graphs().isEmpty())) {
      return node;
    }
    Map<String, Attribute> attributes = new LinkedHashMap<>();
    node.attributes()
        .forEach((key, a) -> attributes.put(key, a.mapGraphs(body -> upgrade(body, from))));
    return node.withAttributes(attributes);
  }

  private static Map<String, List<Rule>> rules() {
    Map<String, List<Rule>> rules = new HashMap<>();
    for (String reduction : REDUCTIONS) {
      rules.put(reduction, one(18, (u, n) -> u.toInputs(n, ints("axes", true))));
    }
    rules.put("ReduceSum", one(13, (u, n) -> u.toInputs(n, ints("axes", true))));
    rules.put("Squeeze", one(13, (u, n) -> u.toInputs(n, ints("axes", true))));
    rules.put("Unsqueeze", one(13, (u, n) -> u.toInputs(n, ints("axes", false))));
    rules.put("Split", one(18, OpsetUpgrade::split));
    rules.put("Slice", one(10, OpsetUpgrade::slice));
    rules.put("Pad", one(11, OpsetUpgrade::pad));
    rules.put("Clip", one(11, OpsetUpgrade::clip));
    rules.put("TopK", one(10, OpsetUpgrade::topK));
    rules.put("Dropout", one(12, OpsetUpgrade::dropout));
    rules.put("Upsample", one(10, OpsetUpgrade::upsample));
    rules.put(
        "Resize",
        List.of(new Rule(11, OpsetUpgrade::resize10), new Rule(13, OpsetUpgrade::resize11)));
    for (String op : List.of("Softmax", "LogSoftmax", "Hardmax")) {
      rules.put(op, one(13, OpsetUpgrade::flattenedSoftmax));
    }
    rules.put("Scatter", one(11, (u, n) -> u.editor.replace(n, renamed(n, "ScatterElements"))));
    rules.put("BatchNormalization", one(14, OpsetUpgrade::batchNormalization));
    rules.put("RoiAlign", one(16, OpsetUpgrade::roiAlign));
    rules.put("GridSample", one(20, OpsetUpgrade::gridSample));
    rules.put("DFT", one(20, OpsetUpgrade::dft));
    rules.put("GroupNormalization", one(21, OpsetUpgrade::groupNormalization));
    return rules;
  }

  private static List<Rule> one(int version, Rewrite rewrite) {
    return List.of(new Rule(version, rewrite));
  }

  /** An attribute that became the next input: a list of ints. */
  private record Moved(String attribute, boolean optional) {}

  private static Moved ints(String attribute, boolean optional) {
    return new Moved(attribute, optional);
  }

  private void toInputs(Node node, Moved... moved) {
    Map<String, Attribute> attributes = new LinkedHashMap<>(node.attributes());
    List<String> inputs = new ArrayList<>(node.inputs());
    for (Moved move : moved) {
      long[] value = node.intsAttribute(move.attribute());
      attributes.remove(move.attribute());
      if (value == null && !move.optional()) {
        throw new UnsupportedModelException(
            node.describe() + " lacks its attribute '" + move.attribute() + "'");
      }
      inputs.add(value == null ? "" : constant(node, move.attribute(), Tensor.vector(value)));
    }
    while (inputs.get(inputs.size() - 1).isEmpty()) {
      inputs.remove(inputs.size() - 1);
    }
    editor.replace(node, node.withAttributes(attributes).withInputs(inputs));
  }

  private String constant(Node node, String what, Tensor value) {
    return editor.constant(node.output() + "_" + what, value);
  }

  private static Node renamed(Node node, String op) {
    return new Node(
        node.name(),
        node.domain(),
        op,
        node.inputs(),
        node.outputs(),
        node.attributes(),
        node.tag(),
        node.metadata());
  }

  private static Map<String, Attribute> without(Node node, String... keys) {
    Map<String, Attribute> attributes = new LinkedHashMap<>(node.attributes());
    attributes.keySet().removeAll(List.of(keys));
    return attributes;
  }

  private static Map<String, Attribute> with(Node node, String key, Attribute value) {
    Map<String, Attribute> attributes = new LinkedHashMap<>(node.attributes());
    attributes.put(key, value);
    return attributes;
  }

  /** The sizes became an input in 13; the number of equal parts has been spelt out since 18. */
  private void split(Node node) {
    if (node.attributes().containsKey("split")) {
      toInputs(node, ints("split", false));
    } else if (node.input(1) == null) {
      Attribute parts = Attribute.of(node.outputs().size());
      editor.replace(node, node.withAttributes(with(node, "num_outputs", parts)));
    }
  }

  private void slice(Node node) {
    toInputs(node, ints("starts", false), ints("ends", false), ints("axes", true));
  }

  private void pad(Node node) {
    float value = node.floatAttribute("value", 0);
    long[] pads = node.intsAttribute("pads");
    if (pads == null) {
      throw new UnsupportedModelException(node.describe() + " lacks its attribute 'pads'");
    }
    List<String> inputs =
        List.of(
            node.requiredInput(0),
            constant(node, "pads", Tensor.vector(pads)),
            constant(node, "value", Tensor.scalar(value)));
    editor.replace(node, node.withAttributes(without(node, "pads", "value")).withInputs(inputs));
  }

  private void clip(Node node) {
    String low = bound(node, "min");
    String high = bound(node, "max");
    List<String> inputs =
        high.isEmpty() && low.isEmpty()
            ? List.of(node.requiredInput(0))
            : List.of(node.requiredInput(0), low, high);
    editor.replace(node, node.withAttributes(without(node, "min", "max")).withInputs(inputs));
  }

  private String bound(Node node, String key) {
    return node.attributes().containsKey(key)
        ? constant(node, key, Tensor.scalar(node.floatAttribute(key, 0)))
        : "";
  }

  private void topK(Node node) {
    String k = constant(node, "k", Tensor.vector(node.intAttribute("k", 1)));
    editor.replace(
        node,
        node.withAttributes(without(node, "k")).withInputs(List.of(node.requiredInput(0), k)));
  }

  private void dropout(Node node) {
    if (node.outputs().size() > 1 && !node.outputs().get(1).isEmpty()) {
      throw new UnsupportedModelException(
          node.describe() + " gives its mask, whose type changed in opset 12; export it newer");
    }
    String ratio = constant(node, "ratio", Tensor.scalar(node.floatAttribute("ratio", 0.5f)));
    editor.replace(
        node,
        node.withAttributes(without(node, "ratio"))
            .withInputs(List.of(node.requiredInput(0), ratio)));
  }

  private void upsample(Node node) {
    resize10(renamed(node, "Resize"), node);
  }

  private void resize10(Node node) {
    resize10(node, node);
  }

  /** Version 10 knew one way of placing the samples; version 11 has the region in between. */
  private void resize10(Node node, Node original) {
    Map<String, Attribute> attributes = new LinkedHashMap<>(node.attributes());
    attributes.put("coordinate_transformation_mode", Attribute.of("asymmetric"));
    attributes.put("nearest_mode", Attribute.of("floor"));
    List<String> inputs = List.of(node.requiredInput(0), "", node.requiredInput(1));
    editor.replace(original, node.withAttributes(attributes).withInputs(inputs));
  }

  private void resize11(Node node) {
    String mode = node.stringAttribute("coordinate_transformation_mode", "");
    if (mode.equals("tf_half_pixel_for_nn")) {
      throw new UnsupportedModelException(
          node.describe()
              + " uses tf_half_pixel_for_nn, which ended with opset 12; export it newer");
    }
  }

  /**
   * Before version 13 softmax ran over all axes from {@code axis} on (default 1), as if flattened
   * to two.
   */
  private void flattenedSoftmax(Node node) {
    long axis = node.intAttribute("axis", 1);
    String input = node.requiredInput(0);
    List<Dim> shape = shapes.get(input);
    Node last = node.withAttributes(with(node, "axis", Attribute.of(-1)));
    if (axis == -1 || (shape != null && axis == shape.size() - 1)) {
      editor.replace(node, last);
      return;
    }
    String base = node.output();
    String sizes = editor.node(base + "_shape", "Shape", List.of(input), Map.of());
    String flat =
        editor.node(base + "_flat", "Flatten", List.of(input), Map.of("axis", Attribute.of(axis)));
    String result = editor.freshName(base + "_rows");
    editor.replace(node, last.withInputs(List.of(flat)).withOutputs(List.of(result)));
    editor.add(
        Node.of(base + "_reshape", "Reshape", List.of(result, sizes), List.of(base), Map.of()));
  }

  private void batchNormalization(Node node) {
    if (node.outputs().stream().filter(o -> !o.isEmpty()).count() > 1) {
      throw new UnsupportedModelException(
          node.describe() + " is in training mode; export the model in evaluation mode");
    }
    editor.replace(node, node.withOutputs(List.of(node.output())));
  }

  private void roiAlign(Node node) {
    Attribute mode = Attribute.of("output_half_pixel");
    editor.replace(node, node.withAttributes(with(node, "coordinate_transformation_mode", mode)));
  }

  private void gridSample(Node node) {
    String mode = node.stringAttribute("mode", "bilinear");
    String now = mode.equals("bilinear") ? "linear" : mode.equals("bicubic") ? "cubic" : mode;
    editor.replace(node, node.withAttributes(with(node, "mode", Attribute.of(now))));
  }

  private void dft(Node node) {
    @Nullable String length = node.input(1);
    String axis = constant(node, "axis", Tensor.scalar(node.intAttribute("axis", 1)));
    editor.replace(
        node,
        node.withAttributes(without(node, "axis"))
            .withInputs(List.of(node.requiredInput(0), length == null ? "" : length, axis)));
  }

  /** Scale and bias were given a group, and are given a channel since 21. */
  private void groupNormalization(Node node) {
    Tensor scale = editor.initializer(node.requiredInput(1));
    Tensor bias = editor.initializer(node.requiredInput(2));
    long groups = node.intAttribute("num_groups", 0);
    List<Dim> shape = shapes.get(node.requiredInput(0));
    if (scale == null
        || bias == null
        || shape == null
        || shape.size() < 2
        || !shape.get(1).isFixed()) {
      throw new UnsupportedModelException(
          node.describe()
              + " of opset 18 needs constant scale and bias and a known number of"
              + " channels; export the model in opset 21");
    }
    int each = Math.toIntExact(shape.get(1).size() / groups);
    editor.replace(
        node,
        node.withInputs(
            List.of(
                node.requiredInput(0),
                constant(node, "scale", repeated(scale, each)),
                constant(node, "bias", repeated(bias, each)))));
  }

  private static Tensor repeated(Tensor tensor, int each) {
    float[] values = tensor.toFloats();
    float[] result = new float[values.length * each];
    for (int i = 0; i < result.length; i++) {
      result[i] = values[i / each];
    }
    return Tensor.ofFloats(new long[] {result.length}, result).cast(tensor.dtype());
  }
}
