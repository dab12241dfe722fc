package io.peft4j.compress.prune;

import io.peft4j.data.BatchSource;
import io.peft4j.graph.Tensor;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Rows that lie together in tensors whose first axis they are. */
record OneBatch(Map<String, Tensor> tensors) implements BatchSource {

  /** Of a golden file, its inputs and labels. */
  static OneBatch of(Map<String, Tensor> golden) {
    Map<String, Tensor> batch = new LinkedHashMap<>(golden);
    batch.keySet().retainAll(List.of("input_ids", "attention_mask", "token_type_ids", "labels"));
    return new OneBatch(batch);
  }

  @Override
  public int size() {
    return Math.toIntExact(tensors.values().iterator().next().dim(0));
  }

  @Override
  public Map<String, Tensor> batch(int[] rows) {
    Map<String, Tensor> batch = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> batch.put(name, tensor.selected(0, rows)));
    return batch;
  }

  @Override
  public int length(int row) {
    return 1;
  }

  @Override
  public long label(int row) {
    return -1;
  }
}
