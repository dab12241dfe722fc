package io.peft4j.compress.chain;

import io.peft4j.PretrainedModel;
import io.peft4j.RecipeException;
import io.peft4j.compress.quantize.Calibration;
import io.peft4j.compress.quantize.Sensitivity;
import io.peft4j.compress.quantize.Smoothing;
import io.peft4j.compress.quantize.StaticInt8;
import io.peft4j.compress.quantize.Yardstick;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Static int8: the inputs of layers are made even first, their ranges are taken from rows of the
 * training data, and those layers stay float whose rounding moves the scores most, as many as the
 * size allows.
 *
 * @param smoothing whether the inputs are made even; see {@link Smoothing}
 * @param bytes the most that the weights may take, as a share of what they took; 0 to quantise all
 * @param rows of the training data that inputs are looked at and layers tried on; their labels are
 *     not looked at
 */
public record Int8Stage(boolean smoothing, double bytes, int rows) {
  public Int8Stage {
    if (!(bytes >= 0 && bytes <= 1)) {
      throw new RecipeException("bytes must be from 0 to 1, was " + bytes);
    }
    if (rows < 1) {
      throw new RecipeException("rows must be at least 1, was " + rows);
    }
  }

  /** Smoothed, everything quantised, 256 rows. */
  public static Int8Stage standard() {
    return new Int8Stage(true, 0, 256);
  }

  /** Quantises a model. */
  PretrainedModel apply(PretrainedModel model, TextTokenizer tokenizer, Dataset train) {
    BatchSource texts = spread(model.graph(), tokenizer, train);
    StaticInt8 bare = new StaticInt8(Map.of(), false, Set.of());
    Graph graph =
        smoothing ? Smoothing.standard().apply(model.graph(), bare, texts) : model.graph();
    StaticInt8 way =
        StaticInt8.calibrated(graph, texts, Calibration.of(Calibration.Method.PERCENTILE));
    long most = (long) (bytes * bytes(graph));
    long taken = bytes(way.apply(graph).graph());
    List<String> kept = new ArrayList<>();
    if (taken < most) {
      for (Sensitivity layer : sensitivities(way, graph, texts)) {
        long more = layer.weights() * (Float.BYTES - 1);
        if (taken + more <= most) {
          kept.add(layer.layer());
          taken += more;
        }
      }
    }
    Graph quantized = way.excluding(kept).apply(graph).graph();
    return new PretrainedModel(model.checkpoint().withGraph(quantized));
  }

  private BatchSource spread(Graph graph, TextTokenizer tokenizer, Dataset train) {
    int count = Math.min(rows, train.size());
    List<Example> chosen =
        IntStream.range(0, count)
            .mapToObj(i -> train.examples().get((int) ((long) i * train.size() / count)))
            .toList();
    Dataset data = new Dataset(train.name(), chosen);
    return new TextBatches(data, new long[0], tokenizer, graph.requiredInputs());
  }

  private static List<Sensitivity> sensitivities(StaticInt8 way, Graph graph, BatchSource texts) {
    try (Yardstick yardstick = new Yardstick(graph, texts)) {
      return Sensitivity.of(way, graph, yardstick, Sensitivity.Probe.ALL_BUT, layer -> {});
    }
  }

  private static long bytes(Graph graph) {
    return graph.initializers().values().stream().mapToLong(Tensor::byteSize).sum();
  }
}
