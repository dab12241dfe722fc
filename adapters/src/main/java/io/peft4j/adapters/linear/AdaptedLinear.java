package io.peft4j.adapters.linear;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.site.LinearSite;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * A linear layer y = x Wᵀ + b that a method is being added to. Formulas see W as [out, in] and
 * everything in float32, whatever the graph holds.
 */
public final class AdaptedLinear {
  private final ExpressionGraph graph;
  private final LinearSite site;
  private final SplittableRandom random;
  private final List<AdapterTensor> tensors = new ArrayList<>();

  AdaptedLinear(GraphEditor editor, LinearSite site, String adapter, SplittableRandom random) {
    graph = new ExpressionGraph(editor, site.path(), adapter);
    this.site = site;
    this.random = random;
  }

  public String path() {
    return site.path();
  }

  public int in() {
    return Math.toIntExact(site.inFeatures());
  }

  public int out() {
    return Math.toIntExact(site.outFeatures());
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
    Expression stored = graph.of(site.weight());
    Expression wide = weightValues().dtype() == DType.FLOAT32 ? stored : stored.cast(DType.FLOAT32);
    return site.inFirst() ? wide.transposed() : wide;
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
    return values(site.weight());
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

  /**
   * A tensor that several layers share, {@code values} where it is new.
   *
   * @param name its own name; it belongs to no module
   * @param trains whether it trains
   * @param isStored whether it is stored
   */
  public Expression shared(String name, Tensor values, boolean trains, boolean isStored) {
    GraphEditor editor = graph.editor();
    if (editor.initializer(name) == null) {
      editor.initializer(name, values);
      if (isStored) {
        tensors.add(new AdapterTensor(name, "", name, false, AdapterTensor.Owner.ADAPTED_MODEL));
      }
    }
    if (trains) {
      editor.train(name);
    }
    return graph.of(name);
  }

  /** Start values, uniform from -bound to bound. */
  public Tensor uniform(double bound, long... shape) {
    double[] values = random.doubles(Tensor.elements(shape), -bound, bound).toArray();
    return Tensor.ofDoubles(shape, values).cast(DType.FLOAT32);
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

  /** The layer with another weight: x Wᵀ + b. */
  public Expression withWeight(Expression weight) {
    return withBias(x().matmul(weight.transposed()));
  }

  /** A product of this layer's kind with the layer's bias on it. */
  public Expression withBias(Expression product) {
    Expression bias = bias();
    return bias == null ? product : product.plus(bias);
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
