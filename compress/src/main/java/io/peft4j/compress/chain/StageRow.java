package io.peft4j.compress.chain;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import io.peft4j.compress.compare.ComparisonRow;
import org.jspecify.annotations.Nullable;

/**
 * One stage in {@code compare.json}; scripts read it by these names. What each means is said by
 * {@link ComparisonRow}.
 */
@JsonPropertyOrder({
  "stage",
  "accuracy",
  "parameters",
  "bytes",
  "latencyMsP50Batch1",
  "latencyMsP95Batch1",
  "throughputPerSecond",
  "peakMemoryBytes",
  "agreement"
})
public record StageRow(
    String stage,
    double accuracy,
    long parameters,
    long bytes,
    double latencyMsP50Batch1,
    double latencyMsP95Batch1,
    double throughputPerSecond,
    @Nullable Long peakMemoryBytes,
    double agreement) {

  static StageRow of(ComparisonRow row) {
    return new StageRow(
        row.name(),
        row.accuracy(),
        row.parameters(),
        row.bytes(),
        row.latencyMsP50Batch1(),
        row.latencyMsP95Batch1(),
        row.throughputPerSecond(),
        row.peakMemoryBytes(),
        row.agreement());
  }
}
