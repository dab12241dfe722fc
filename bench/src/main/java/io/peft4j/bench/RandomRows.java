package io.peft4j.bench;

import io.peft4j.data.BatchSource;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.task.Loss;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;

/** Batches of random ids of MiniLM's vocabulary, without padding. */
final class RandomRows implements BatchSource {
  private static final int VOCABULARY = 30_522;
  private static final int SPECIAL = 1000;

  private final int batches;
  private final int rows;
  private final int length;
  private final int labels;
  private final Random random = new Random(0);

  /**
   * @param rows in a batch
   * @param length tokens in a row
   */
  RandomRows(int batches, int rows, int length, int labels) {
    this.batches = batches;
    this.rows = rows;
    this.length = length;
    this.labels = labels;
  }

  @Override
  public int size() {
    return batches * rows;
  }

  @Override
  public Map<String, Tensor> batch(int[] chosen) {
    long[] shape = {rows, length};
    long[] ids = random.longs((long) rows * length, SPECIAL, VOCABULARY).toArray();
    long[] mask = new long[ids.length];
    Arrays.fill(mask, 1);
    return Map.of(
        "input_ids",
        Tensor.ofLongs(shape, ids),
        "attention_mask",
        Tensor.ofLongs(shape, mask),
        "token_type_ids",
        Tensor.zeros(DType.INT64, shape),
        Loss.LABELS,
        Tensor.vector(random.longs(rows, 0, labels).toArray()));
  }

  @Override
  public int length(int row) {
    return length;
  }

  @Override
  public long label(int row) {
    return 0;
  }
}
