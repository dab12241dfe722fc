package io.peft4j.compress.prune;

import static java.util.Objects.requireNonNull;

import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.task.Loss;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Chooses the layers of a stack that matter most. */
final class LayerRanking {
  private final Graph graph;
  private final Calibration data;

  private LayerRanking(Graph graph, Calibration data) {
    this.graph = graph;
    this.data = data;
  }

  /**
   * The layers to keep. By an importance of the loss, the layer goes without which the loss is
   * least, one after the other; by one of activations, those go that turn their stream least (the
   * mean of 1 − cosine over tokens, Men et al. 2024, arXiv 2403.03853); by magnitude, which says
   * nothing of layers, they are kept evenly spread.
   */
  static Set<Integer> best(Graph graph, int kept, Importance importance, Calibration data) {
    LayerRanking ranking = new LayerRanking(graph, data);
    if (!importance.needsData()) {
      return LayerPruning.spread(LayerPruning.count(graph), kept);
    }
    return importance.ofLoss() ? ranking.byLoss(kept) : ranking.byInfluence(kept);
  }

  private Set<Integer> byLoss(int count) {
    Set<Integer> kept =
        IntStream.range(0, LayerPruning.count(graph))
            .boxed()
            .collect(Collectors.toCollection(TreeSet::new));
    while (kept.size() > count) {
      kept.remove(lowest(kept, layer -> lossWithout(kept, layer)));
    }
    return kept;
  }

  private static Integer lowest(Set<Integer> layers, ToDoubleFunction<Integer> value) {
    Map<Integer, Double> values = new LinkedHashMap<>();
    layers.forEach(layer -> values.put(layer, value.applyAsDouble(layer)));
    return values.entrySet().stream()
        .min(Map.Entry.comparingByValue())
        .map(Map.Entry::getKey)
        .orElseThrow();
  }

  private double lossWithout(Set<Integer> kept, Integer layer) {
    Set<Integer> others = new TreeSet<>(kept);
    others.remove(layer);
    Graph shorter = data.objective().attach(LayerPruning.keep(graph, others), data.logits());
    Graph loss =
        shorter.edit().clearOutputs().output(Value.of(Loss.OUTPUT, DType.FLOAT32)).prune().build();
    double sum = 0;
    try (TorchProgram program = TorchEngine.compile(loss, CompileOptions.evaluation())) {
      for (int number = 0; number < data.batches(); number++) {
        Map<String, Tensor> batch = data.batch(number);
        long rows = batch.values().iterator().next().dim(0);
        sum += rows * requireNonNull(program.run(batch).get(Loss.OUTPUT)).item();
      }
    }
    return sum;
  }

  private Set<Integer> byInfluence(int count) {
    List<String> stream = LayerPruning.stream(graph);
    GraphEditor editor = graph.edit().freezeAll().clearOutputs();
    stream.forEach(value -> editor.output(new Value(value, DType.FLOAT32, null)));
    Graph showing = editor.prune().build();
    double[] influence = new double[stream.size() - 1];
    try (TorchProgram program = TorchEngine.compile(showing, CompileOptions.evaluation())) {
      for (int row = 0; row < data.rows().size(); row++) {
        Map<String, Tensor> inputs =
            Calibration.inputs(showing, data.rows().batch(new int[] {row}));
        inputs.keySet().retainAll(program.inputNames());
        Map<String, Tensor> shown = program.run(inputs);
        for (int layer = 0; layer < influence.length; layer++) {
          influence[layer] +=
              turn(
                  requireNonNull(shown.get(stream.get(layer))),
                  requireNonNull(shown.get(stream.get(layer + 1))));
        }
      }
    }
    return IntStream.range(0, influence.length)
        .boxed()
        .sorted(Comparator.comparingDouble((Integer layer) -> -influence[layer]))
        .limit(count)
        .collect(Collectors.toCollection(TreeSet::new));
  }

  /** The mean of 1 − cosine between the vectors of two values. */
  private static double turn(Tensor before, Tensor after) {
    float[] a = before.toFloats();
    float[] b = after.toFloats();
    int width = Math.toIntExact(before.dim(-1));
    double sum = 0;
    for (int from = 0; from < a.length; from += width) {
      double product = 0;
      double squareA = 0;
      double squareB = 0;
      for (int i = from; i < from + width; i++) {
        product += (double) a[i] * b[i];
        squareA += (double) a[i] * a[i];
        squareB += (double) b[i] * b[i];
      }
      sum += 1 - product / Math.sqrt(squareA * squareB);
    }
    return sum * width / a.length;
  }
}
