package io.peft4j.adapters.linear;

import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.site.LinearSite;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SplittableRandom;

/**
 * Finds the weights of adapted linear layers by running each by itself, in float64, on unit vectors
 * (of a convolution: unit patches) and on zero: y(unit i) − y(0) is column i of W. The base layer's
 * bias is left out for that, so that the difference is exact; y(0) with it is b.
 */
final class LinearMerge {
  /** Elements of the unit matrices that are run together. */
  private static final long TOGETHER = 16L << 20;

  private final AttachedAdapter adapter;
  private final LinearMethod method;
  private final Map<LinearSite, Optional<Kernels>> targets;
  private final List<LinearSite> layers;

  LinearMerge(
      AttachedAdapter adapter, LinearMethod method, Map<LinearSite, Optional<Kernels>> targets) {
    this.adapter = adapter;
    this.method = method;
    this.targets = targets;
    layers = List.copyOf(targets.keySet());
  }

  /** Puts the merged weights and biases in place. */
  void into(GraphEditor editor) {
    MergedWeights weights = new MergedWeights(adapter.base(), editor);
    List<LinearSite> group = new ArrayList<>();
    long elements = 0;
    for (LinearSite layer : layers) {
      group.add(layer);
      elements += layer.inFeatures() * layer.inFeatures();
      if (elements > TOGETHER) {
        merge(group, weights);
        group.clear();
        elements = 0;
      }
    }
    if (!group.isEmpty()) {
      merge(group, weights);
    }
  }

  private void merge(List<LinearSite> group, MergedWeights weights) {
    Map<String, Tensor> columns = run(group, true);
    Map<String, Tensor> biases = run(group, false);
    for (LinearSite layer : group) {
      Tensor inFirst = withoutLastRow(Objects.requireNonNull(columns.get(layer.path())));
      Tensor laid = layer.inFirst() ? inFirst : inFirst.transposed(1, 0);
      Tensor bias = biases.get(layer.path());
      kernels(layer)
          .ifPresentOrElse(
              kernels -> weights.put(kernels.site(), laid, bias),
              () -> weights.put(layer, laid, bias));
    }
  }

  private Optional<Kernels> kernels(LinearSite layer) {
    return Objects.requireNonNull(targets.get(layer));
  }

  /** Subtracts the last row, which is y(0), from the others. */
  private static Tensor withoutLastRow(Tensor rows) {
    int in = Math.toIntExact(rows.dim(0)) - 1;
    int out = Math.toIntExact(rows.dim(1));
    double[] values = rows.toDoubles();
    double[] result = new double[in * out];
    for (int i = 0; i < result.length; i++) {
      result[i] = values[i] - values[in * out + i % out];
    }
    return Tensor.ofDoubles(new long[] {in, out}, result);
  }

  /** What each layer gives, by path: for unit vectors and zero without its bias, or for zero. */
  private Map<String, Tensor> run(List<LinearSite> group, boolean units) {
    GraphEditor editor = new GraphEditor("layers");
    Map<String, Tensor> inputs = new LinkedHashMap<>();
    for (LinearSite layer : group) {
      String x = layer.path() + ".x";
      int in = Math.toIntExact(layer.inFeatures());
      inputs.put(
          x, units ? unitsAndZero(in) : Tensor.ofDoubles(new long[] {1, in}, new double[in]));
      add(layer, x, units, editor);
    }
    Graph graph = withPresentValues(editor.freezeAll().prune().build(), group);
    CompileOptions options = CompileOptions.evaluation().withPrecision(DType.FLOAT64);
    try (TorchProgram program = TorchEngine.compile(graph, options)) {
      return program.run(inputs);
    }
  }

  private void add(LinearSite layer, String x, boolean withoutBias, GraphEditor editor) {
    Graph base = adapter.base();
    editor.input(Value.of(x, DType.FLOAT32, "rows", "in"));
    Tensor weight = base.initializer(layer.weight()).cast(DType.FLOAT32);
    editor.initializer(
        layer.weight(),
        kernels(layer).isEmpty()
            ? weight
            : weight.reshaped(layer.outFeatures(), layer.inFeatures()));
    String bias = layer.bias();
    if (bias != null) {
      Tensor values = base.initializer(bias).cast(DType.FLOAT32);
      editor.initializer(bias, withoutBias ? Tensor.zeros(DType.FLOAT32, values.shape()) : values);
    }
    String y = layer.path() + ".y";
    LinearSite alone =
        new LinearSite(
            layer.path(),
            layer.role(),
            layer.weight(),
            layer.inFirst(),
            bias,
            x,
            y,
            layer.inFeatures(),
            layer.outFeatures(),
            DType.FLOAT32);
    AdaptedLinear built =
        new AdaptedLinear(
            editor,
            alone,
            kernels(layer).orElse(null),
            true,
            layers,
            adapter.name(),
            new SplittableRandom(0));
    name(editor, y, built.withWeight(built.weight()));
    name(editor, layer.path(), method.adapt(built));
    editor.output(Value.of(layer.path(), DType.FLOAT32, "rows", "out"));
  }

  private static void name(GraphEditor editor, String name, Expression value) {
    editor.add(Node.of(name, "Identity", List.of(value.value()), List.of(name), Map.of()));
  }

  /** The adapter's tensors as they are now, instead of as they start. */
  private Graph withPresentValues(Graph graph, List<LinearSite> group) {
    GraphEditor editor = graph.edit();
    graph
        .initializers()
        .keySet()
        .forEach(
            key -> {
              Tensor present = adapter.graph().initializers().get(key);
              boolean literal =
                  group.stream().anyMatch(layer -> ExpressionGraph.isLiteral(layer.path(), key));
              if (present != null && !literal && !adapter.base().initializers().containsKey(key)) {
                editor.initializer(key, present);
              }
            });
    return editor.build();
  }

  private static Tensor unitsAndZero(int size) {
    double[] values = new double[(size + 1) * size];
    for (int i = 0; i < size; i++) {
      values[i * size + i] = 1;
    }
    return Tensor.ofDoubles(new long[] {size + 1, size}, values);
  }
}
