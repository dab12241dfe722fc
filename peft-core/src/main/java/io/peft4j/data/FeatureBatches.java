package io.peft4j.data;

import static com.google.common.base.Preconditions.checkArgument;

import io.peft4j.graph.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;

/** Rows of plain numbers, for networks without text. */
public final class FeatureBatches implements BatchSource {
  private final String input;
  private final float[][] features;
  private final long[] labels;
  private final boolean asTargets;

  /**
   * Rows with classes.
   *
   * @param input the name of the input that takes the numbers, [batch, features]
   */
  public FeatureBatches(String input, float[][] features, long[] labels) {
    this(input, features, labels, false);
  }

  /**
   * @param asTargets whether labels are numbers to hit, float32 [batch, 1], rather than classes
   */
  public FeatureBatches(String input, float[][] features, long[] labels, boolean asTargets) {
    checkArgument(
        features.length == labels.length,
        "%s rows need as many labels, were given %s",
        features.length,
        labels.length);
    this.input = input;
    this.features = features.clone();
    this.labels = labels.clone();
    this.asTargets = asTargets;
  }

  @Override
  public int size() {
    return features.length;
  }

  @Override
  public int length(int row) {
    return 1;
  }

  @Override
  public long label(int row) {
    return labels[row];
  }

  @Override
  public Map<String, Tensor> batch(int[] rows) {
    int width = features[0].length;
    float[] values = new float[rows.length * width];
    long[] classes = new long[rows.length];
    float[] targets = new float[rows.length];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(features[rows[i]], 0, values, i * width, width);
      classes[i] = labels[rows[i]];
      targets[i] = labels[rows[i]];
    }
    Map<String, Tensor> batch = new LinkedHashMap<>();
    batch.put(input, Tensor.ofFloats(new long[] {rows.length, width}, values));
    batch.put(
        TextBatches.LABELS,
        asTargets ? Tensor.ofFloats(new long[] {rows.length, 1}, targets) : Tensor.vector(classes));
    return batch;
  }
}
