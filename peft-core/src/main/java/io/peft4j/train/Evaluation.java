package io.peft4j.train;

import io.peft4j.data.BatchSource;
import io.peft4j.engine.Program;
import io.peft4j.graph.Tensor;
import io.peft4j.task.Metrics;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;

/** Runs a classifier over examples. */
public final class Evaluation {
  private static final int BATCH = 32;

  private Evaluation() {}

  /**
   * The scores of every example, in order.
   *
   * @param output the name of the program's output, [batch, classes]
   * @return one row an example
   */
  public static float[][] scores(Program program, BatchSource source, String output) {
    int[] order =
        IntStream.range(0, source.size())
            .boxed()
            .sorted(Comparator.comparingInt(source::length))
            .mapToInt(Integer::intValue)
            .toArray();
    float[][] scores = new float[source.size()][];
    for (int from = 0; from < order.length; from += BATCH) {
      int[] rows = java.util.Arrays.copyOfRange(order, from, Math.min(order.length, from + BATCH));
      Map<String, Tensor> inputs = new LinkedHashMap<>(source.batch(rows));
      inputs.keySet().retainAll(program.inputNames()); // labels and the like are for training
      Tensor result = program.run(inputs).get(output);
      if (result == null) {
        throw new io.peft4j.PeftException("the model has no output '" + output + "'");
      }
      float[] flat = result.toFloats();
      int width = flat.length / rows.length;
      for (int i = 0; i < rows.length; i++) {
        scores[rows[i]] = java.util.Arrays.copyOfRange(flat, i * width, (i + 1) * width);
      }
    }
    return scores;
  }

  /**
   * The class with the highest score, the first of equals; for one score a row: 1 if it is above
   * 0.5.
   */
  public static long[] classes(float[][] scores) {
    return classes(scores, 0.5);
  }

  /** As {@link #classes(float[][])}, where one score a row means class 1 above a threshold. */
  public static long[] classes(float[][] scores, double threshold) {
    long[] classes = new long[scores.length];
    for (int i = 0; i < scores.length; i++) {
      float[] row = scores[i];
      if (row.length == 1) {
        classes[i] = row[0] > threshold ? 1 : 0;
        continue;
      }
      for (int c = 1; c < row.length; c++) {
        if (row[c] > row[(int) classes[i]]) {
          classes[i] = c;
        }
      }
    }
    return classes;
  }

  /** Compares the most probable classes with the labels. */
  public static Metrics metrics(float[][] scores, BatchSource source) {
    return metrics(scores, source, 0.5);
  }

  /** As {@link #metrics(float[][], BatchSource)}, with the threshold of a single score. */
  public static Metrics metrics(float[][] scores, BatchSource source, double threshold) {
    long[] labels = IntStream.range(0, source.size()).mapToLong(source::label).toArray();
    int classes = Math.max(2, scores[0].length);
    return Metrics.of(classes(scores, threshold), labels, classes);
  }
}
