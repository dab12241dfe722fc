package io.peft4j.adapters.linear;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.site.LinearSite;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A linear layer y = x Wᵀ + b that a method is being added to. Formulas see W as [out, in] and
 * everything in float32, whatever the graph holds. Of a convolution they see W as [out, in / groups
 * · kernel], but x and y as they are.
 */
public final class AdaptedLinear {
  private final ExpressionGraph graph;
  private final LinearSite site;
  private final @Nullable Kernels kernels;
  private final @Nullable Kernels convolved;
  private final List<LinearSite> all;
  private final String adapter;
  private final SplittableRandom random;
  private final List<AdapterTensor> tensors = new ArrayList<>();

  /**
   * @param patches whether a convolution's x holds patches, one a row, rather than what is
   *     convolved
   */
  AdaptedLinear(
      GraphEditor editor,
      LinearSite site,
      @Nullable Kernels kernels,
      boolean patches,
      List<LinearSite> all,
      String adapter,
      SplittableRandom random) {
    graph = new ExpressionGraph(editor, site.path(), adapter);
    this.site = site;
    this.kernels = kernels;
    convolved = patches ? null : kernels;
    this.all = all;
    this.adapter = adapter;
    this.random = random;
  }

  /**
   * Adds a method's tensors and nodes to one layer; every use of its output takes the new one.
   *
   * @param kernels of a convolution, null for a linear layer
   * @param layers all that the method adapts
   * @return the tensors of the adapter's file
   */
  public static List<AdapterTensor> adapt(
      GraphEditor editor,
      LinearSite site,
      @Nullable Kernels kernels,
      List<LinearSite> layers,
      String adapter,
      SplittableRandom random,
      Function<AdaptedLinear, Expression> formula) {
    AdaptedLinear layer = new AdaptedLinear(editor, site, kernels, false, layers, adapter, random);
    int before = editor.nodes().size();
    Expression output = formula.apply(layer);
    List<Node> all = editor.nodes();
    layer.replaceOutput(
        output,
        all.subList(before, all.size()).stream().flatMap(n -> n.outputs().stream()).toList());
    return layer.tensors();
  }

  public String path() {
    return site.path();
  }

  public LinearSite site() {
    return site;
  }

  /** The kernels, if the layer is a convolution. */
  public @Nullable Kernels kernels() {
    return kernels;
  }

  public int in() {
    return Math.toIntExact(site.inFeatures());
  }

  public int out() {
    return Math.toIntExact(site.outFeatures());
  }

  /** All layers that the method is being added to, in the model's order. */
  public List<LinearSite> all() {
    return all;
  }

  /** Which of {@link #all} this one is. */
  public int index() {
    for (int i = 0; i < all.size(); i++) {
      if (all.get(i).path().equals(site.path())) {
        return i;
      }
    }
    throw new IllegalStateException("lost site " + site.path());
  }

  /** Where the start values of this layer come from. */
  public SplittableRandom random() {
    return random;
  }

  /** The layer's input, [..., in]. */
  public Expression x() {
    return wide(graph.of(site.input()));
  }

  /** The layer's output as the model has it, bias included, [..., out]. */
  public Expression y() {
    return wide(graph.of(site.output()));
  }

  /** The weight, [out, in]. */
  public Expression weight() {
    Expression wide = storedWeight();
    return site.inFirst() ? wide.transposed() : wide;
  }

  /** The layer's output without its bias, x Wᵀ, [..., out]. */
  public Expression product() {
    Expression bias = bias();
    if (bias == null) {
      return y();
    }
    for (Node node : graph.editor().nodes()) {
      if (node.is("Add") && node.outputs().contains(site.output())) {
        int other = node.requiredInput(0).equals(site.bias()) ? 1 : 0;
        boolean plain = node.requiredInput(1 - other).equals(site.bias());
        return plain ? wide(graph.of(node.requiredInput(other))) : y().minus(bias);
      }
    }
    return y().minus(bias);
  }

  private Expression storedWeight() {
    Expression stored = graph.of(site.weight());
    Expression wide = weightValues().dtype() == DType.FLOAT32 ? stored : stored.cast(DType.FLOAT32);
    return convolved == null ? wide : wide.reshaped(out(), in());
  }

  /** W m, for a matrix [in, n], without a copy of the weight that lies another way. */
  public Expression weightTimes(Expression matrix) {
    Expression wide = storedWeight();
    return site.inFirst() ? matrix.transposed().matmul(wide).transposed() : wide.matmul(matrix);
  }

  /** The bias, [out]; null if the layer has none. */
  public @Nullable Expression bias() {
    String bias = site.bias();
    if (bias == null) {
      return null;
    }
    Expression stored = graph.of(bias);
    return values(bias).dtype() == DType.FLOAT32 ? stored : stored.cast(DType.FLOAT32);
  }

  /**
   * What the weight holds, as the initializer lies: [out, in], or [in, out] if {@link #inFirst}.
   */
  public Tensor weightValues() {
    Tensor values = values(site.weight());
    return convolved == null ? values : values.reshaped(out(), in());
  }

  /** What the bias holds, [out]; null if the layer has none. */
  public @Nullable Tensor biasValues() {
    String bias = site.bias();
    return bias == null ? null : values(bias);
  }

  /**
   * Gives W [out, in] of a layer, this one or another, as it is at this moment; null where another
   * is not at hand, as when layers are merged one by one.
   */
  public @Nullable Supplier<Matrix> weightOf(LinearSite layer) {
    Tensor values = graph.editor().initializer(layer.weight());
    return values == null
        ? null
        : () -> layer.inFirst() ? Matrix.of(values).transposed() : Matrix.of(values);
  }

  /** What a tensor that was added starts with. */
  public Tensor start(Expression added) {
    return values(added.value());
  }

  /** The elements of W [out, in], row by row. */
  public float[] outFirstValues() {
    Tensor values = weightValues();
    return (site.inFirst() ? values.transposed(1, 0) : values).toFloats();
  }

  /** W [out, in]. */
  public Matrix weightMatrix() {
    Matrix stored = Matrix.of(weightValues());
    return site.inFirst() ? stored.transposed() : stored;
  }

  public boolean inFirst() {
    return site.inFirst();
  }

  private Tensor values(String initializer) {
    Tensor tensor = graph.editor().initializer(initializer);
    if (tensor == null) {
      throw new IllegalStateException("lost initializer " + initializer);
    }
    return tensor;
  }

  private Expression wide(Expression value) {
    return site.dtype() == DType.FLOAT32 ? value : value.cast(DType.FLOAT32);
  }

  /**
   * A tensor that trains and is stored.
   *
   * @param name its name behind the module's path in PEFT's files, for example {@code
   *     lora_A.weight}
   */
  public Expression parameter(String name, Tensor start) {
    Expression stored = stored(name, start);
    graph.editor().train(stored.value());
    return stored;
  }

  /** A tensor that is stored but does not train. */
  public Expression stored(String name, Tensor values) {
    String key = graph.initializer(name);
    graph.editor().initializer(key, values);
    tensors.add(new AdapterTensor(key, site.path(), name));
    return graph.of(key);
  }

  /** A tensor that neither trains nor is stored. */
  public Expression constant(String name, Tensor values) {
    return graph.constant(name, values);
  }

  /** A tensor that trains, is stored, and is shared by several layers; the first makes it. */
  public Expression sharedParameter(String name, Supplier<Tensor> start) {
    Expression shared = sharedStored(name, start);
    graph.editor().train(shared.value());
    return shared;
  }

  /** A tensor that is stored, does not train, and is shared by several layers. */
  public Expression sharedStored(String name, Supplier<Tensor> values) {
    String key = name + "." + adapter;
    if (graph.editor().initializer(key) == null) {
      tensors.add(new AdapterTensor(key, "", name, false, AdapterTensor.Owner.ADAPTED_MODEL));
    }
    return sharedConstant(name, values);
  }

  /** A tensor that neither trains nor is stored, shared by several layers; the first makes it. */
  public Expression sharedConstant(String name, Supplier<Tensor> values) {
    String key = name + "." + adapter;
    if (graph.editor().initializer(key) == null) {
      graph.editor().initializer(key, values.get());
    }
    return graph.of(key);
  }

  /**
   * A tensor that trains, is stored under each module that has it, and is one for all of a group.
   *
   * @param group names the group
   * @param name its name behind the module's path
   */
  public Expression sharedWith(String group, String name, Supplier<Tensor> start) {
    Expression shared = sharedConstant(group + "." + name, start);
    graph.editor().train(shared.value());
    storeToo(shared, name);
    return shared;
  }

  /** Stores a shared tensor under this module too, as some of PEFT's methods do. */
  public void storeToo(Expression shared, String name) {
    tensors.add(new AdapterTensor(shared.value(), site.path(), name));
  }

  /** Zeros that are made when the graph runs, so that they take no room in it. */
  public Expression zeros(long... shape) {
    return constant("zero", Tensor.scalar(0f)).expanded(shape);
  }

  /** Start values, uniform from -bound to bound. */
  public Tensor uniform(double bound, long... shape) {
    double[] values = random.doubles(Tensor.elements(shape), -bound, bound).toArray();
    return Tensor.ofDoubles(shape, values).cast(DType.FLOAT32);
  }

  /** Start values of a matrix [a, b], uniform from -1/√b to 1/√b, as torch starts linear layers. */
  public Tensor kaiming(long rows, long columns) {
    return uniform(1 / Math.sqrt((double) columns), rows, columns);
  }

  /** Start values, normal with mean 0. */
  public Tensor normal(double deviation, long... shape) {
    double[] values = new double[Math.toIntExact(Tensor.elements(shape))];
    for (int i = 0; i < values.length; i++) {
      values[i] = deviation * random.nextGaussian();
    }
    return Tensor.ofDoubles(shape, values).cast(DType.FLOAT32);
  }

  /** Start values that are all the same. */
  public static Tensor filled(double value, long... shape) {
    float[] values = new float[Math.toIntExact(Tensor.elements(shape))];
    Arrays.fill(values, (float) value);
    return Tensor.ofFloats(shape, values);
  }

  /**
   * The layer with something added to its weight.
   *
   * @param update [out, in]
   * @param rowDropout share of the update's rows that are dropped in training
   * @param wholeDropout how often the whole update is dropped in training
   */
  public Expression plusUpdate(Expression update, double rowDropout, double wholeDropout) {
    Expression rows = rowDropout == 0 ? update : update.times(kept(rowDropout, out(), 1));
    Expression whole = wholeDropout == 0 ? rows : rows.times(kept(wholeDropout, 1));
    return y().plus(applied(x(), whole));
  }

  /**
   * Ones, of which training zeroes a share; the others stay ones in training and outside it.
   *
   * @param dropped the share
   */
  public Expression kept(double dropped, long... shape) {
    Expression ones = constant("ones", filled(1, shape));
    return ones.dropout(dropped).clipped(0, 1);
  }

  /** Start values: ones on the diagonal. */
  public static Tensor identity(int size) {
    return Matrix.identity(size).toTensor(DType.FLOAT32);
  }

  /** The layer with another weight: x Wᵀ + b. */
  public Expression withWeight(Expression weight) {
    return withBias(applied(x(), weight));
  }

  /** What a matrix [out, in] makes of an input in the weight's place, without the bias. */
  public Expression applied(Expression input, Expression matrix) {
    return convolved == null
        ? input.matmul(matrix.transposed())
        : input.convolved(matrix.reshaped(convolved.shape(out())), convolved.site().attributes());
  }

  /** A vector [out] in the shape that spreads over the layer's output. */
  public Expression perOutput(Expression vector) {
    return convolved == null ? vector : vector.reshaped(convolved.points(1, out()));
  }

  /** A product of this layer's kind with the layer's bias on it. */
  public Expression withBias(Expression product) {
    Expression bias = bias();
    return bias == null ? product : product.plus(perOutput(bias));
  }

  List<AdapterTensor> tensors() {
    return tensors;
  }

  /** Lets every use of the layer's output take a new one. */
  void replaceOutput(Expression output, List<String> own) {
    Expression narrow = site.dtype() == DType.FLOAT32 ? output : output.cast(site.dtype());
    graph
        .editor()
        .replaceUses(
            site.output(),
            narrow.value(),
            node ->
                node.outputs().stream().anyMatch(own::contains)
                    || node.outputs().contains(narrow.value()));
  }
}
