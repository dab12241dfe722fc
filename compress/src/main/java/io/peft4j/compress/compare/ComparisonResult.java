package io.peft4j.compress.compare;

import io.peft4j.Version;
import io.peft4j.data.Dataset;
import io.peft4j.format.ContentHash;
import io.peft4j.loaders.onnxruntime.OnnxRuntimeEngine;
import io.peft4j.task.Metrics;
import io.peft4j.train.Evaluation;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Classifiers, measured side by side; the first is what the others are held against.
 *
 * @param data where the rows came from
 * @param dataSha256 of the rows
 * @param rows how many there were
 * @param rounds how often each had its turn
 * @param maxLength tokens of a text at most
 * @param threads of ONNX Runtime; 0 for its own choice
 * @param machine processor cores, system, versions
 * @param models in the order they were given
 */
public record ComparisonResult(
    String data,
    String dataSha256,
    int rows,
    int rounds,
    int maxLength,
    int threads,
    String machine,
    List<ComparisonRow> models) {
  public ComparisonResult {
    models = List.copyOf(models);
  }

  static ComparisonResult of(Dataset data, Settings settings, List<Measured> measured) {
    List<ComparisonRow> rows = new ArrayList<>();
    List<String> order = measured.get(0).model().labels();
    long[] labels = data.labelIds(order);
    long[] first = predictions(measured.get(0), order);
    for (Measured one : measured) {
      rows.add(
          row(one, predictions(one, order), first, labels, order.size(), one == measured.get(0)));
    }
    List<ComparisonRow> marked =
        rows.stream()
            .map(row -> row.withPareto(rows.stream().noneMatch(other -> other.dominates(row))))
            .toList();
    return new ComparisonResult(
        data.name(),
        ContentHash.of(data),
        data.size(),
        settings.rounds(),
        settings.maxLength(),
        settings.threads(),
        thisMachine(),
        marked);
  }

  /** Which class each row has, by its number among the first's labels; else beyond them. */
  private static long[] predictions(Measured one, List<String> order) {
    List<String> own = one.model().labels();
    long[] translation = new long[own.size()];
    for (int i = 0; i < translation.length; i++) {
      int known = order.indexOf(own.get(i));
      translation[i] = known < 0 ? order.size() : known;
    }
    return Arrays.stream(Evaluation.classes(one.scores())).map(c -> translation[(int) c]).toArray();
  }

  private static ComparisonRow row(
      Measured one, long[] predictions, long[] first, long[] labels, int classes, boolean isFirst) {
    int hits = 0;
    int same = 0;
    int won = 0;
    int lost = 0;
    for (int i = 0; i < labels.length; i++) {
      boolean right = predictions[i] == labels[i];
      boolean firstRight = first[i] == labels[i];
      hits += right ? 1 : 0;
      same += predictions[i] == first[i] ? 1 : 0;
      won += right && !firstRight ? 1 : 0;
      lost += !right && firstRight ? 1 : 0;
    }
    Candidate candidate = one.model().candidate();
    Metrics metrics = Metrics.of(predictions, labels, classes + 1);
    return new ComparisonRow(
        candidate.name(),
        candidate.model().toString(),
        text(candidate),
        metrics.accuracy(),
        Confidence.wilson(hits, labels.length),
        metrics.macroF1(),
        Confidence.macroF1(predictions, labels, classes + 1),
        same / (double) labels.length,
        won,
        lost,
        isFirst ? null : Confidence.mcNemar(lost, won),
        one.model().parameters(),
        one.model().bytes(),
        one.singleMs(0.5),
        one.singleMs(0.95),
        one.batchMs(0.5),
        one.batchMs(0.95),
        one.textsPerSecond(),
        one.after().peak(),
        one.before().present(),
        false);
  }

  private static @Nullable String text(Candidate candidate) {
    return candidate.adapter() == null ? null : candidate.adapter().toString();
  }

  private static String thisMachine() {
    return "%d processors, %s %s, Java %s, ONNX Runtime %s, peft4j %s"
        .formatted(
            Runtime.getRuntime().availableProcessors(),
            System.getProperty("os.name"),
            System.getProperty("os.arch"),
            System.getProperty("java.version"),
            OnnxRuntimeEngine.version(),
            Version.text());
  }

  /** A table for a terminal. */
  public String text() {
    return ComparisonText.of(this);
  }

  /** One HTML page that needs no other file. */
  public String html() {
    return ComparisonPage.of(this);
  }
}
