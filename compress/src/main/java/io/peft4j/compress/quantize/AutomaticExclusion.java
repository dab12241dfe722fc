package io.peft4j.compress.quantize;

import io.peft4j.PeftException;
import io.peft4j.graph.Graph;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;

/**
 * Leaves out layers, the most sensitive first, until a quantised model loses no more than it may.
 *
 * @param maxLoss in points; see {@link Comparison#loss}
 */
public record AutomaticExclusion(double maxLoss) {
  public AutomaticExclusion {
    if (!(maxLoss >= 0)) {
      throw new PeftException("the loss to accept must be a number from 0 up, was " + maxLoss);
    }
  }

  /**
   * How a search ended.
   *
   * @param way with what it leaves out
   * @param model quantised that way
   * @param comparison of that model
   * @param excluded what was left out beyond what {@code way} left out before, in that order
   */
  public record Result(
      Quantization way, QuantizedModel model, Comparison comparison, List<String> excluded) {
    public Result {
      excluded = List.copyOf(excluded);
    }
  }

  /**
   * Searches.
   *
   * @param yardstick judges each try
   * @param probe judges single layers; it may have fewer rows
   * @param progress told what is tried
   * @throws PeftException if every layer would have to be left out
   */
  public Result search(
      Quantization way,
      Graph graph,
      Yardstick yardstick,
      Yardstick probe,
      Consumer<String> progress) {
    Quantization now = way;
    QuantizedModel model = way.apply(graph);
    Comparison comparison = yardstick.compare(model.graph());
    List<String> excluded = new ArrayList<>();
    List<Sensitivity> order =
        comparison.loss() <= maxLoss
            ? List.of()
            : Sensitivity.of(way, graph, probe, Sensitivity.Probe.ALONE, progress);
    while (!(comparison.loss() <= maxLoss)) {
      if (excluded.size() + 1 >= order.size()) {
        throw new PeftException(
            String.format(
                Locale.ROOT,
                "no choice of layers keeps the loss within %.2f points: with %s alone it is %.2f;"
                    + " allow more with --max-loss",
                maxLoss,
                order.isEmpty() ? "nothing" : order.get(order.size() - 1).layer(),
                comparison.loss()));
      }
      excluded.add(order.get(excluded.size()).layer());
      List<String> left = new ArrayList<>(way.excluded());
      left.addAll(excluded);
      now = way.excluding(left);
      model = now.apply(graph);
      comparison = yardstick.compare(model.graph());
      progress.accept(
          String.format(
              Locale.ROOT,
              "without %s: loss %.2f",
              String.join(", ", excluded),
              comparison.loss()));
    }
    return new Result(now, model, comparison, excluded);
  }
}
