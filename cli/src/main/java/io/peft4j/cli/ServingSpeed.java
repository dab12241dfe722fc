package io.peft4j.cli;

import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.Program;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * How fast models are in ONNX Runtime. Two are measured in turns, so that what else the machine
 * does slows both alike.
 *
 * @param latencyMs the median of one text alone, in milliseconds
 * @param latencyMsWithTokenizing likewise from the text on
 * @param textsPerSecond in batches of 32
 * @param textsPerSecondWithTokenizing likewise from the texts on
 */
record ServingSpeed(
    double latencyMs,
    double latencyMsWithTokenizing,
    double textsPerSecond,
    double textsPerSecondWithTokenizing) {
  private static final int BATCH = 32;
  private static final int ROUNDS = 15;
  private static final int SINGLES = 8;

  /** One model with its tokenizer. */
  record Served(Graph graph, TextTokenizer tokenizer) {}

  /** Measures models on the same texts, and gives their speeds in the same order. */
  static List<ServingSpeed> measure(List<Served> models, Dataset texts) {
    List<Clock> clocks = models.stream().map(Clock::new).toList();
    try {
      for (int round = -2; round < ROUNDS; round++) { // two rounds to warm up
        List<Example> batch = part(texts, Math.max(0, round) * BATCH, BATCH);
        for (Clock clock : clocks) {
          clock.batches.time(batch, round >= 0);
          for (int i = 0; i < SINGLES; i++) {
            clock.singles.time(batch.subList(i % batch.size(), i % batch.size() + 1), round >= 0);
          }
        }
      }
    } finally {
      clocks.forEach(Clock::close);
    }
    return clocks.stream().map(Clock::speed).toList();
  }

  private static List<Example> part(Dataset texts, int from, int size) {
    return IntStream.range(from, from + size)
        .mapToObj(i -> texts.examples().get(i % texts.size()))
        .toList();
  }

  private static final class Clock {
    private final Program program;
    private final Times batches;
    private final Times singles;

    Clock(Served model) {
      program = InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(model.graph());
      batches = new Times(program, model.tokenizer());
      singles = new Times(program, model.tokenizer());
    }

    ServingSpeed speed() {
      return new ServingSpeed(
          1e3 * median(singles.running),
          1e3 * median(singles.all),
          BATCH / median(batches.running),
          BATCH / median(batches.all));
    }

    void close() {
      program.close();
    }
  }

  /** Seconds of each run. */
  private record Times(
      Program program, TextTokenizer tokenizer, List<Double> running, List<Double> all) {
    Times(Program program, TextTokenizer tokenizer) {
      this(program, tokenizer, new ArrayList<>(), new ArrayList<>());
    }

    void time(List<Example> texts, boolean counts) {
      long start = System.nanoTime();
      TextBatches rows =
          new TextBatches(
              new Dataset("texts", texts), new long[0], tokenizer, program.inputNames());
      Map<String, Tensor> batch = rows.batch(IntStream.range(0, texts.size()).toArray());
      long tokenized = System.nanoTime();
      program.run(batch);
      long end = System.nanoTime();
      if (counts) {
        running.add((end - tokenized) / 1e9);
        all.add((end - start) / 1e9);
      }
    }
  }

  private static double median(List<Double> values) {
    List<Double> sorted = new ArrayList<>(values);
    Collections.sort(sorted);
    return sorted.get(sorted.size() / 2);
  }
}
