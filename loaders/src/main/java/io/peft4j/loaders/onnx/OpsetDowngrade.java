package io.peft4j.loaders.onnx;

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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Writes the operators of {@link Graph#OPSET} so that they mean the same in an older operator set.
 * Source of each rule: the operator's change log in the ONNX specification; operators whose later
 * versions only widen types need no rule.
 */
final class OpsetDowngrade {
  static final int OLDEST = 17;

  /** Operators that came after {@link #OLDEST} and that older ones cannot express here. */
  private static final Map<String, Integer> NEW =
      Map.ofEntries(
          Map.entry("BitwiseAnd", 18),
          Map.entry("BitwiseNot", 18),
          Map.entry("BitwiseOr", 18),
          Map.entry("BitwiseXor", 18),
          Map.entry("CenterCropPad", 18),
          Map.entry("Col2Im", 18),
          Map.entry("DeformConv", 19),
          Map.entry("AffineGrid", 20),
          Map.entry("ImageDecoder", 20),
          Map.entry("RegexFullMatch", 20),
          Map.entry("StringConcat", 20),
          Map.entry("StringSplit", 20),
          Map.entry("GroupNormalization", 21));

  private static final Map<DType, Integer> TYPES =
      Map.of(
          DType.FLOAT8E4M3FN, 19,
          DType.FLOAT8E4M3FNUZ, 19,
          DType.FLOAT8E5M2, 19,
          DType.FLOAT8E5M2FNUZ, 19,
          DType.INT4, 21,
          DType.UINT4, 21);

  private static final Map<String, List<Rule>> RULES = rules();

  /** Rewrites one node. */
  @FunctionalInterface
  private interface Rewrite {
    void apply(OpsetDowngrade downgrade, Node node);
  }

  /** For files of an operator set older than {@code version}. */
  private record Rule(int version, Rewrite rewrite) {}

  private final int to;
  private final GraphEditor editor;
  private final GraphView view;
  private final @Nullable OpsetDowngrade around;

  /**
   * @param around of the graph that this one is a body in; null for the outermost
   */
  private OpsetDowngrade(Graph graph, int to, @Nullable OpsetDowngrade around) {
    this.to = to;
    this.around = around;
    editor = graph.edit();
    view = new GraphView(graph);
  }

  /**
   * The same model in the operators of an older set.
   *
   * @param to 17 to 21
   * @throws UnsupportedModelException if a node or a weight has no equal there
   */
  static Graph downgrade(Graph graph, int to) {
    if (to < OLDEST || to > Graph.OPSET) {
      throw new UnsupportedModelException(
          "ONNX opset %d cannot be written; choose one from %d to %d"
              .formatted(to, OLDEST, Graph.OPSET));
    }
    return to == Graph.OPSET ? graph : new OpsetDowngrade(graph, to, null).rewritten(graph);
  }

  private Graph rewritten(Graph graph) {
    graph.initializers().forEach(this::requireType);
    for (Node original : graph.nodes()) {
      Node node = withBodies(original);
      if (!node.equals(original)) {
        editor.replace(original, node);
      }
      if (node.domain().isEmpty()) {
        int since = NEW.getOrDefault(node.op(), OLDEST);
        if (to < since) {
          throw refused(node, "came with opset " + since);
        }
        RULES.getOrDefault(node.op(), List.of()).stream()
            .filter(r -> to < r.version())
            .forEach(r -> r.rewrite().apply(this, node));
      }
    }
    return editor.build();
  }

  private Node withBodies(Node node) {
    if (node.attributes().values().stream().allMatch(a -> a.graphs().isEmpty())) {
      return node;
    }
    Map<String, Attribute> attributes = new LinkedHashMap<>();
    node.attributes()
        .forEach(
            (key, a) ->
                attributes.put(
                    key, a.mapGraphs(body -> new OpsetDowngrade(body, to, this).rewritten(body))));
    return node.withAttributes(attributes);
  }

  private void requireType(String name, Tensor tensor) {
    int since = TYPES.getOrDefault(tensor.dtype(), OLDEST);
    if (to < since) {
      throw new UnsupportedModelException(
          "weight '%s' is %s, which came with opset %d; it cannot be written in opset %d"
              .formatted(name, tensor.dtype().label(), since, to));
    }
  }

  private UnsupportedModelException refused(Node node, String why) {
    return new UnsupportedModelException(
        "%s %s; it cannot be written in opset %d: choose a newer one"
            .formatted(node.describe(), why, to));
  }

  private static Map<String, List<Rule>> rules() {
    Map<String, List<Rule>> rules = new HashMap<>();
    for (String reduction : OpsetUpgrade.REDUCTIONS) {
      rules.put(reduction, one(18, OpsetDowngrade::reduction));
    }
    rules.put("Split", one(18, OpsetDowngrade::split));
    rules.put("Mish", one(18, OpsetDowngrade::mish));
    rules.put("Pad", List.of(rejecting(19, "mode", "wrap"), new Rule(18, OpsetDowngrade::padAxes)));
    rules.put(
        "Resize",
        List.of(
            rejecting(19, "coordinate_transformation_mode", "half_pixel_symmetric"),
            new Rule(18, OpsetDowngrade::resize)));
    for (String scatter : List.of("ScatterElements", "ScatterND")) {
      rules.put(
          scatter, List.of(rejecting(18, "reduction", "max"), rejecting(18, "reduction", "min")));
    }
    rules.put("AveragePool", one(19, OpsetDowngrade::averagePool));
    rules.put("Cast", one(19, (d, n) -> d.drop(n, "saturate")));
    rules.put("CastLike", one(19, (d, n) -> d.drop(n, "saturate")));
    rules.put("QuantizeLinear", one(21, OpsetDowngrade::quantization));
    rules.put("DequantizeLinear", one(21, OpsetDowngrade::quantization));
    rules.put("Gelu", one(20, OpsetDowngrade::gelu));
    rules.put("GridSample", one(20, OpsetDowngrade::gridSample));
    rules.put("DFT", one(20, OpsetDowngrade::dft));
    return rules;
  }

  private static List<Rule> one(int version, Rewrite rewrite) {
    return List.of(new Rule(version, rewrite));
  }

  /** A value of an attribute that came with a version. */
  private static Rule rejecting(int version, String key, String value) {
    return new Rule(
        version,
        (d, n) -> {
          if (n.stringAttribute(key, "").equals(value)) {
            throw d.refused(
                n, "has %s '%s', which came with opset %d".formatted(key, value, version));
          }
        });
  }

  private void drop(Node node, String... keys) {
    editor.replace(node, node.withAttributes(without(node, keys)));
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

  /** A value that is the same in each run, from this graph or one around it. */
  private @Nullable Tensor constant(String name) {
    Tensor here = view.constant(name);
    return here != null || around == null ? here : around.constant(name);
  }

  /** The axes became an input in 18. */
  private void reduction(Node node) {
    boolean none = node.intAttribute("noop_with_empty_axes", 0) == 1;
    Map<String, Attribute> attributes = without(node, "noop_with_empty_axes");
    String given = node.input(1);
    Tensor axes = given == null ? Tensor.vector() : constant(given);
    if (axes == null) {
      throw refused(node, "computes its axes, which are fixed before opset 18");
    }
    List<String> inputs = List.of(node.requiredInput(0));
    if (axes.size() > 0) {
      attributes.put("axes", Attribute.ofInts(axes.toLongs()));
    } else if (none) {
      editor.replace(node, Node.of(node.name(), "Identity", inputs, node.outputs(), Map.of()));
      return;
    }
    editor.replace(node, node.withAttributes(attributes).withInputs(inputs));
  }

  /** Before 18 parts without sizes were always equal, and as many as there are outputs. */
  private void split(Node node) {
    if (node.attributes().containsKey("num_outputs")) {
      drop(node, "num_outputs");
    }
  }

  private void padAxes(Node node) {
    if (node.input(3) != null) {
      throw refused(node, "names its axes, which came with opset 18");
    }
  }

  private void resize(Node node) {
    if (node.intAttribute("antialias", 0) != 0
        || node.attributes().containsKey("axes")
        || !node.stringAttribute("keep_aspect_ratio_policy", "stretch").equals("stretch")) {
      throw refused(
          node, "uses antialias, axes or keep_aspect_ratio_policy, which came with opset 18");
    }
    drop(node, "antialias", "keep_aspect_ratio_policy");
  }

  private void averagePool(Node node) {
    long[] dilations = node.intsAttribute("dilations");
    if (dilations != null && java.util.Arrays.stream(dilations).anyMatch(d -> d != 1)) {
      throw refused(node, "has dilations, which came with opset 19");
    }
    drop(node, "dilations");
  }

  private void quantization(Node node) {
    for (String key : List.of("block_size", "output_dtype")) {
      if (node.intAttribute(key, 0) != 0) {
        throw refused(node, "has %s, which came with opset 21".formatted(key));
      }
    }
    if (to < 19) {
      drop(node, "block_size", "output_dtype", "saturate");
    } else {
      drop(node, "block_size", "output_dtype");
    }
  }

  private void gridSample(Node node) {
    String mode = node.stringAttribute("mode", "linear");
    String then = mode.equals("linear") ? "bilinear" : mode.equals("cubic") ? "bicubic" : mode;
    editor.replace(node, node.withAttributes(with(node, "mode", Attribute.of(then))));
  }

  /** The axis became an input in 20; without one it was the second, and is the last but one. */
  private void dft(Node node) {
    String given = node.input(2);
    Tensor axis = given == null ? Tensor.scalar(-2L) : constant(given);
    if (axis == null) {
      throw refused(node, "computes its axis, which is fixed before opset 20");
    }
    List<String> inputs = new ArrayList<>(List.of(node.requiredInput(0)));
    if (node.input(1) != null) {
      inputs.add(node.requiredInput(1));
    }
    Attribute fixed = Attribute.of(axis.toLongs()[0]);
    editor.replace(node, node.withAttributes(with(node, "axis", fixed)).withInputs(inputs));
  }

  /** x · tanh(ln(1 + exp x)). */
  private void mish(Node node) {
    String x = node.requiredInput(0);
    String base = node.output();
    String soft = editor.node(base + "/Softplus", "Softplus", List.of(x));
    String tanh = editor.node(base + "/Tanh", "Tanh", List.of(soft));
    editor.replace(node, Node.of(node.name(), "Mul", List.of(x, tanh), node.outputs(), Map.of()));
  }

  /** x / 2 · (1 + erf(x / √2)), or with tanh(√(2 / π) · (x + 0.044715 x³)) in erf's place. */
  private void gelu(Node node) {
    String x = node.requiredInput(0);
    String base = node.output();
    String curve;
    if (node.stringAttribute("approximate", "none").equals("tanh")) {
      String three = scalar(base + "/three", x, 3);
      String cube = editor.node(base + "/Pow", "Pow", List.of(x, three));
      String scaled = times(base + "/Mul_1", cube, x, 0.044715);
      String sum = editor.node(base + "/Add", "Add", List.of(x, scaled));
      String inner = times(base + "/Mul_2", sum, x, Math.sqrt(2 / Math.PI));
      curve = editor.node(base + "/Tanh", "Tanh", List.of(inner));
    } else {
      curve =
          editor.node(base + "/Erf", "Erf", List.of(times(base + "/Mul_1", x, x, Math.sqrt(0.5))));
    }
    String above = editor.node(base + "/Add_1", "Add", List.of(curve, scalar(base + "/one", x, 1)));
    String half = times(base + "/Mul_3", x, x, 0.5);
    editor.replace(
        node, Node.of(node.name(), "Mul", List.of(half, above), node.outputs(), Map.of()));
  }

  private String times(String name, String value, String like, double factor) {
    return editor.node(name, "Mul", List.of(value, scalar(name + "/factor", like, factor)));
  }

  /** A number of the type of a value. */
  private String scalar(String name, String like, double number) {
    Tensor value = Tensor.scalar((float) number);
    DType type = type(like);
    if (type != null) {
      return editor.constant(name, value.cast(type));
    }
    String constant = editor.constant(name, value);
    return editor.node(name + "/CastLike", "CastLike", List.of(constant, like));
  }

  /** The type of a value where the graph says it, or where its weights leave no other. */
  private @Nullable DType type(String name) {
    Graph graph = view.graph();
    Value declared = graph.values().get(name);
    if (declared != null && declared.dtype() != null) {
      return declared.dtype();
    }
    Set<DType> floats = new java.util.HashSet<>();
    graph.initializers().values().stream()
        .map(Tensor::dtype)
        .filter(DType::isFloat)
        .forEach(floats::add);
    return around == null && floats.equals(Set.of(DType.FLOAT32)) ? DType.FLOAT32 : null;
  }
}
