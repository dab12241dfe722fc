package io.peft4j.compress.compare;

import com.fasterxml.jackson.annotation.JsonInclude;
import org.jspecify.annotations.Nullable;

/**
 * One classifier, measured. Times are from text to scores, tokenizing included.
 *
 * @param name what it is called
 * @param model where it was read from
 * @param adapter the adapter's folder; null for none
 * @param accuracy the share of rows it has right
 * @param accuracyInterval by Wilson
 * @param macroF1 the mean of F1 over the classes
 * @param macroF1Interval by bootstrap
 * @param agreement the share of rows on which it says what the first says
 * @param wonFromFirst rows that it has right and the first wrong
 * @param lostToFirst rows that the first has right and it wrong
 * @param pValue of McNemar's exact test against the first; null for the first
 * @param parameters numbers in the weights
 * @param bytes of all files that it needs: weights, adapter, tokenizer
 * @param latencyMsP50Batch1 the median time of one text
 * @param latencyMsP95Batch1 the time that 95 % of the calls stay within
 * @param latencyMsP50Batch32 the median time of 32 texts in one call
 * @param latencyMsP95Batch32 likewise
 * @param throughputPerSecond texts a second in calls of 32, the median of the rounds
 * @param peakMemoryBytes the most memory that its process held, JVM and ONNX Runtime included; null
 *     where the system does not say
 * @param processMemoryBytes what the process held before it opened the model; null likewise
 * @param pareto whether no other is at least as good in accuracy, median time of one text and
 *     bytes, and better in one
 */
@JsonInclude(JsonInclude.Include.ALWAYS)
public record ComparisonRow(
    String name,
    String model,
    @Nullable String adapter,
    double accuracy,
    Interval accuracyInterval,
    double macroF1,
    Interval macroF1Interval,
    double agreement,
    int wonFromFirst,
    int lostToFirst,
    @Nullable Double pValue,
    long parameters,
    long bytes,
    double latencyMsP50Batch1,
    double latencyMsP95Batch1,
    double latencyMsP50Batch32,
    double latencyMsP95Batch32,
    double throughputPerSecond,
    @Nullable Long peakMemoryBytes,
    @Nullable Long processMemoryBytes,
    boolean pareto) {

  /** Whether this is at least as good in all three, and better in one. */
  boolean dominates(ComparisonRow other) {
    boolean noWorse =
        accuracy >= other.accuracy
            && latencyMsP50Batch1 <= other.latencyMsP50Batch1
            && bytes <= other.bytes;
    return noWorse
        && (accuracy > other.accuracy
            || latencyMsP50Batch1 < other.latencyMsP50Batch1
            || bytes < other.bytes);
  }

  ComparisonRow withPareto(boolean front) {
    return new ComparisonRow(
        name,
        model,
        adapter,
        accuracy,
        accuracyInterval,
        macroF1,
        macroF1Interval,
        agreement,
        wonFromFirst,
        lostToFirst,
        pValue,
        parameters,
        bytes,
        latencyMsP50Batch1,
        latencyMsP95Batch1,
        latencyMsP50Batch32,
        latencyMsP95Batch32,
        throughputPerSecond,
        peakMemoryBytes,
        processMemoryBytes,
        front);
  }
}
