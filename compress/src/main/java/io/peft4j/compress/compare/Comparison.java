package io.peft4j.compress.compare;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.peft4j.PeftException;
import io.peft4j.data.Dataset;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * Measures classifiers side by side on labelled rows, in ONNX Runtime, the first being what the
 * others are held against.
 *
 * <p>Each runs in a process of its own, so that each has its own peak of memory. All processes stay
 * open, and after a warm-up they take turns in rounds, on the same texts within a round and in an
 * order that moves on by one: what disturbs the machine hits all alike. Only one works at a time.
 */
public final class Comparison {
  static final int BATCH = 32;
  private static final int SINGLE_CALLS = 40;
  private static final int BATCH_CALLS = 4;
  private static final double LEAST_SECONDS = 0.2; // a turn at one batch size
  private static final int SEED = 42;

  private final List<Candidate> candidates;
  private final Dataset data;
  private final Settings settings;
  private final Consumer<String> progress;

  private Comparison(
      List<Candidate> candidates, Dataset data, Settings settings, Consumer<String> progress) {
    this.candidates = List.copyOf(candidates);
    this.data = data;
    this.settings = settings;
    this.progress = progress;
  }

  /**
   * A comparison in 8 rounds, of texts of at most 128 tokens, with as many threads as ONNX Runtime
   * takes by itself.
   *
   * @param data rows with labels
   * @throws PeftException if there are no candidates, or two have one name
   */
  public static Comparison of(List<Candidate> candidates, Dataset data) {
    if (candidates.isEmpty()) {
      throw new PeftException("there is nothing to compare; give at least one model");
    }
    Set<String> names = new HashSet<>();
    for (Candidate candidate : candidates) {
      if (!names.add(candidate.name())) {
        throw new PeftException(
            "two models are called '%s'; give them different names".formatted(candidate.name()));
      }
    }
    return new Comparison(candidates, data, Settings.STANDARD, line -> {});
  }

  /** With other numbers of rounds, tokens of a text, and threads (0 for ONNX Runtime's default). */
  public Comparison measuring(int rounds, int maxLength, int threads) {
    return new Comparison(candidates, data, new Settings(rounds, maxLength, threads), progress);
  }

  /** With somebody who is told what is being done, a line a step. */
  public Comparison telling(Consumer<String> listener) {
    return new Comparison(candidates, data, settings, listener);
  }

  /**
   * Measures.
   *
   * @throws PeftException if a candidate cannot be read or run, or a row's label is none of a
   *     candidate's
   */
  public ComparisonResult run() {
    try {
      Path scratch = Files.createTempDirectory("peft4j-compare");
      try {
        return run(scratch);
      } finally {
        MoreFiles.deleteRecursively(scratch, RecursiveDeleteOption.ALLOW_INSECURE);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private ComparisonResult run(Path scratch) throws IOException {
    List<PreparedModel> models = new ArrayList<>();
    for (int i = 0; i < candidates.size(); i++) {
      Path folder = Files.createDirectory(scratch.resolve(Integer.toString(i)));
      models.add(PreparedModel.of(candidates.get(i), folder));
      requireKnownLabels(models.get(i));
    }
    List<WorkerProcess> workers = new ArrayList<>();
    try {
      for (int i = 0; i < models.size(); i++) {
        progress.accept("opening " + candidates.get(i).name());
        Path folder = scratch.resolve(Integer.toString(i));
        workers.add(new WorkerProcess(models.get(i), texts(), settings, folder));
      }
      List<Measured> measured = new ArrayList<>();
      for (int i = 0; i < models.size(); i++) {
        progress.accept("judging %s on %d rows".formatted(candidates.get(i).name(), data.size()));
        measured.add(new Measured(models.get(i), judged(models.get(i), workers.get(i))));
      }
      rounds(workers, measured);
      for (int i = 0; i < models.size(); i++) {
        measured.get(i).memory(workers.get(i).before(), workers.get(i).memory());
      }
      return ComparisonResult.of(data, settings, measured);
    } finally {
      workers.forEach(WorkerProcess::close);
    }
  }

  private void requireKnownLabels(PreparedModel model) {
    try {
      data.labelIds(model.labels());
    } catch (PeftException e) {
      throw new PeftException(
          "model '%s': %s".formatted(model.candidate().name(), e.getMessage()), e);
    }
  }

  private List<WorkerMessage.Text> texts() {
    return data.examples().stream().map(e -> new WorkerMessage.Text(e.text(), e.second())).toList();
  }

  private float[][] judged(PreparedModel model, WorkerProcess worker) throws IOException {
    float[][] scores = worker.scores(IntStream.range(0, data.size()).toArray(), BATCH);
    if (scores[0].length != model.labels().size()) {
      throw new PeftException(
          "model '%s' gives %d scores a row, and names %d labels; put the right labels beside it"
              .formatted(model.candidate().name(), scores[0].length, model.labels().size()));
    }
    return scores;
  }

  private void rounds(List<WorkerProcess> workers, List<Measured> measured) throws IOException {
    Texts texts = new Texts(data.size());
    int models = workers.size();
    for (int round = 0; round <= settings.rounds(); round++) {
      boolean warmUp = round == 0;
      progress.accept(warmUp ? "warming up" : "round %d of %d".formatted(round, settings.rounds()));
      int[] singles = texts.next(SINGLE_CALLS);
      int[] batches = texts.next(BATCH_CALLS * BATCH);
      for (int turn = 0; turn < models; turn++) {
        int i = (turn + round) % models;
        double[] single = workers.get(i).milliseconds(singles, 1, LEAST_SECONDS);
        double[] batch = workers.get(i).milliseconds(batches, BATCH, LEAST_SECONDS);
        if (!warmUp) {
          measured.get(i).round(single, batch);
        }
      }
    }
  }

  /** All rows in a random order, over and over. */
  private static final class Texts {
    private final List<Integer> order;
    private int position;

    Texts(int rows) {
      order = new ArrayList<>(IntStream.range(0, rows).boxed().toList());
      Collections.shuffle(order, new Random(SEED));
    }

    int[] next(int count) {
      int[] rows = new int[count];
      Arrays.setAll(rows, i -> order.get((position + i) % order.size()));
      position = (position + count) % order.size();
      return rows;
    }
  }
}
