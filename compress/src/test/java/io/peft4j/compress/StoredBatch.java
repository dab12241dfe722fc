package io.peft4j.compress;

import io.peft4j.data.BatchSource;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The padded batch that lies beside base-bert, row by row. */
public record StoredBatch(Map<String, Tensor> tensors) implements BatchSource {
  public static final Path BASE_BERT = Path.of("src/test/resources/base-bert");

  public static StoredBatch baseBert() {
    Map<String, Tensor> all = SafeTensors.read(BASE_BERT.resolve("io.safetensors")).tensors();
    Map<String, Tensor> batch = new LinkedHashMap<>();
    for (String name : List.of("input_ids", "attention_mask", "token_type_ids", "labels")) {
      batch.put(name, all.get(name));
    }
    return new StoredBatch(batch);
  }

  /** The inputs of the model in one batch. */
  public Map<String, Tensor> inputs() {
    Map<String, Tensor> inputs = new LinkedHashMap<>(tensors);
    inputs.remove("labels");
    return inputs;
  }

  @Override
  public int size() {
    return (int) tensors.get("labels").dim(0);
  }

  @Override
  public Map<String, Tensor> batch(int[] rows) {
    Map<String, Tensor> batch = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> batch.put(name, rows(tensor, rows)));
    return batch;
  }

  private static Tensor rows(Tensor tensor, int... rows) {
    int width = (int) (tensor.size() / tensor.dim(0));
    long[] shape = tensor.shape();
    shape[0] = rows.length;
    ByteBuffer picked = Tensor.allocate(8L * rows.length * width);
    long[] values = tensor.toLongs();
    for (int row : rows) {
      for (int i = 0; i < width; i++) {
        picked.putLong(values[row * width + i]);
      }
    }
    return Tensor.of(DType.INT64, shape, picked.flip());
  }

  @Override
  public int length(int row) {
    return (int) tensors.get("input_ids").dim(1);
  }

  @Override
  public long label(int row) {
    return tensors.get("labels").toLongs()[row];
  }
}
