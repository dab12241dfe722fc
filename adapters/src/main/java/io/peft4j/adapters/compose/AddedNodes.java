package io.peft4j.adapters.compose;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.DoubleSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Adds nodes, constants and start values to a graph that grows. Values are named by what adds them:
 * each call gives the name of the value that it makes.
 */
public abstract class AddedNodes {
  private final GraphEditor editor;
  private final SplittableRandom random;
  private final Set<String> nodeNames = new HashSet<>();
  private final Set<String> fresh = new HashSet<>();
  private String adapter;

  AddedNodes(Graph graph, String adapter, long seed) {
    // What was known of shapes need not hold for a longer sequence.
    editor = graph.edit().forgetValues().tagging(adapter);
    graph.nodes().forEach(node -> nodeNames.add(node.name()));
    this.adapter = adapter;
    random = new SplittableRandom(seed);
  }

  public GraphEditor editor() {
    return editor;
  }

  /** Decides start values. */
  public SplittableRandom random() {
    return random;
  }

  /** The name of the adapter that is being added. */
  public String adapter() {
    return adapter;
  }

  /** Adds under another name: adapters that are composed keep theirs. */
  public void named(String name) {
    adapter = name;
  }

  /** A constant that stands in no file. */
  public String constant(String scope, Tensor value) {
    return editor.constant(Graph.CONSTANT + scope + "." + adapter, value);
  }

  /** One float32 number as a constant. */
  public String number(String scope, double value) {
    return constant(scope, Tensor.scalar((float) value));
  }

  /** Adds a node; gives its output. */
  public String node(String scope, String op, String... inputs) {
    return node(scope, op, Map.of(), inputs);
  }

  /** Adds a node; gives its output. */
  public String node(String scope, String op, Map<String, Attribute> attributes, String... inputs) {
    String path = "/" + scope.replaceAll("\\.(?!\\d+(\\.|$))", "/") + "/" + op;
    String name = path;
    for (int i = 1; !nodeNames.add(name); i++) {
      name = path + "_" + i;
    }
    String output = editor.node(name, op, List.of(inputs), attributes);
    fresh.add(output);
    return output;
  }

  /** The axes in another order. */
  public String transposed(String scope, String x, long... order) {
    return node(scope, "Transpose", Map.of("perm", Attribute.ofInts(order)), x);
  }

  /** The same elements under another shape. */
  public String reshaped(String scope, String x, long... shape) {
    return node(scope, "Reshape", x, constant(scope + ".shape", Tensor.vector(shape)));
  }

  /** Values one behind the other along an axis. */
  public String joined(String scope, long axis, String... parts) {
    return node(scope, "Concat", Map.of("axis", Attribute.of(axis)), parts);
  }

  /** From one place of an axis to before another. */
  public String slice(String scope, String x, long axis, long from, long to) {
    return node(
        scope,
        "Slice",
        x,
        constant(scope + ".from", Tensor.vector(from)),
        constant(scope + ".to", Tensor.vector(to)),
        constant(scope + ".axis", Tensor.vector(axis)));
  }

  /** Over one axis, which is kept with size 1. */
  public String sum(String scope, String x, long axis) {
    String axes = constant(scope + ".axis", Tensor.vector(axis));
    return node(scope, "ReduceSum", Map.of("keepdims", Attribute.of(1L)), x, axes);
  }

  /** The size of an axis as int64 [1]. */
  public String size(String scope, String x, long axis) {
    Map<String, Attribute> range =
        Map.of("start", Attribute.of(axis), "end", Attribute.of(axis + 1));
    return node(scope, "Shape", range, x);
  }

  /** One copy of x for each row of a batch; {@code sizes} are those behind the batch's own. */
  public String forEachRow(String scope, String x, String batch, long... sizes) {
    String behind = constant(scope + ".sizes", Tensor.vector(sizes));
    return node(scope, "Expand", x, joined(scope, 0, size(scope, batch, 0), behind));
  }

  /** In another type. */
  public String cast(String scope, String x, DType type) {
    return node(scope, "Cast", Map.of("to", Attribute.of((long) type.onnxCode())), x);
  }

  /** Layer normalisation over the last axis. */
  public String layerNorm(String scope, String x, String weight, String bias, double epsilon) {
    Map<String, Attribute> settings =
        Map.of("axis", Attribute.of(-1L), "epsilon", Attribute.of((float) epsilon));
    return node(scope, "LayerNormalization", settings, x, weight, bias);
  }

  /** Start values, uniform from -bound to bound. */
  public Tensor uniform(double bound, long... shape) {
    SplittableRandom drawing = random.split();
    return drawn(shape, () -> drawing.nextDouble(-bound, bound));
  }

  /** Start values, normal with mean 0. */
  public Tensor normal(double deviation, long... shape) {
    SplittableRandom drawing = random.split();
    return drawn(shape, () -> deviation * drawing.nextGaussian());
  }

  /** Start values, normal with mean 0, none further from it than two deviations. */
  public Tensor truncatedNormal(double deviation, long... shape) {
    SplittableRandom drawing = random.split();
    return drawn(
        shape,
        () -> {
          double value = drawing.nextGaussian();
          while (Math.abs(value) > 2) {
            value = drawing.nextGaussian();
          }
          return deviation * value;
        });
  }

  /** Start values that are all the same. */
  public static Tensor filled(double value, long... shape) {
    return drawn(shape, () -> value);
  }

  private static Tensor drawn(long[] shape, DoubleSupplier number) {
    float[] values = new float[Math.toIntExact(Tensor.elements(shape))];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) number.getAsDouble();
    }
    return Tensor.ofFloats(shape, values);
  }

  /** x Wᵀ + b for W [out, in]; x [..., in] to [..., out]; b may be null. */
  public String linear(String scope, String x, String weight, @Nullable String bias) {
    String turned = transposed(scope, weight, 1, 0);
    String product = node(scope, "MatMul", x, turned);
    return bias == null ? product : node(scope, "Add", product, bias);
  }

  /** Dropout in training; no node where the ratio is 0. */
  public String dropout(String scope, String x, double ratio) {
    return ratio == 0 ? x : node(scope, "Dropout", x, number(scope + ".ratio", ratio));
  }

  /**
   * mean over the sequence of sigmoid(x Wᵀ + b), the gate of UniPELT (Mao et al. 2022, arXiv
   * 2110.07577): x [batch, sequence, in] to [batch, 1, gates].
   */
  public String gate(String scope, String x, String weight, String bias) {
    String open = node(scope, "Sigmoid", linear(scope, x, weight, bias));
    String axis = constant(scope + ".axis", Tensor.vector(1));
    return node(scope, "ReduceMean", Map.of("keepdims", Attribute.of(1L)), open, axis);
  }

  /** A value of the model as float32. */
  public String wide(String scope, String value, DType dtype) {
    return cast(scope, value, dtype, DType.FLOAT32);
  }

  /** A float32 value in the type that the model computes in. */
  public String narrow(String scope, String value, DType dtype) {
    return cast(scope, value, DType.FLOAT32, dtype);
  }

  private String cast(String scope, String value, DType from, DType to) {
    return from == to ? value : cast(scope, value, to);
  }

  /** From now on added nodes are left alone by {@link #rewire}. */
  public void mark() {
    fresh.clear();
  }

  /** Lets all uses of a value take another, but not the nodes added since {@link #mark}. */
  public void rewire(String from, String to) {
    editor.replaceUses(from, to, node -> node.outputs().stream().anyMatch(fresh::contains));
  }

  /** Lets one node of the model take another value. */
  public void rewire(Node user, String from, String to) {
    editor.replaceUses(from, to, node -> !node.outputs().equals(user.outputs()));
  }
}
