package io.peft4j.compress.quantize;

import io.peft4j.data.BatchSource;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.Program;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Value;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Evaluation;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Judges forms of a model by what they score in ONNX Runtime, against the model as it was, on the
 * same rows.
 */
public final class Yardstick implements AutoCloseable {
  private final Program original;
  private final String output;
  private final BatchSource rows;
  private final float[][] expected;

  /**
   * Runs the model as it is.
   *
   * @param graph whose output {@code logits}, or else its first one, is compared
   * @param rows texts or features; their labels are looked at if the first has one
   */
  public Yardstick(Graph graph, BatchSource rows) {
    List<String> names = graph.outputs().stream().map(Value::name).toList();
    output = names.contains(PooledHead.LOGITS) ? PooledHead.LOGITS : names.get(0);
    this.rows = rows;
    original = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(graph);
    expected = Evaluation.scores(original, rows, output);
  }

  /** Compares a form of the model. */
  public Comparison compare(Graph graph) {
    try (Program program = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(graph)) {
      return compare(program);
    }
  }

  /** Compares a form of the model. */
  public Comparison compare(Program program) {
    float[][] scores = Evaluation.scores(program, rows, output);
    long[] before = Evaluation.classes(expected);
    long[] after = Evaluation.classes(scores);
    long agreeing = IntStream.range(0, before.length).filter(i -> before[i] == after[i]).count();
    double worst = 0;
    double error = 0;
    double size = 0;
    for (int row = 0; row < expected.length; row++) {
      for (int i = 0; i < expected[row].length; i++) {
        double difference = (double) scores[row][i] - expected[row][i];
        worst = Math.max(worst, Math.abs(difference));
        error += difference * difference;
        size += (double) expected[row][i] * expected[row][i];
      }
    }
    return new Comparison(
        rows.size(),
        labelled() ? Evaluation.metrics(expected, rows).accuracy() : Double.NaN,
        labelled() ? Evaluation.metrics(scores, rows).accuracy() : Double.NaN,
        agreeing / (double) rows.size(),
        Double.isNaN(error) ? Double.NaN : worst,
        Math.sqrt(error / size));
  }

  /** How many times as many rows a program scores in the same time; the two take turns. */
  public double speedup(Program program) {
    long[] nanos = new long[2];
    for (int round = 0; round < 3; round++) {
      for (int i = 0; i < 2; i++) {
        long start = System.nanoTime();
        Evaluation.scores(i == 0 ? original : program, rows, output);
        nanos[i] += round == 0 ? 0 : System.nanoTime() - start; // the first round warms up
      }
    }
    return nanos[0] / (double) nanos[1];
  }

  private boolean labelled() {
    return rows.label(0) >= 0;
  }

  @Override
  public void close() {
    original.close();
  }
}
