package io.peft4j.adapters;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.adapter.DataProbe;
import io.peft4j.data.BatchSource;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import io.peft4j.task.Loss;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Batches as they were given to torch, one after the other. */
public record GoldenBatches(List<Map<String, Tensor>> batches) implements BatchSource {
  public static final int ROWS = 4;

  public static GoldenBatches read(Path file) {
    Map<String, Map<String, Tensor>> batches = new LinkedHashMap<>();
    SafeTensors.read(file)
        .tensors()
        .forEach(
            (key, tensor) ->
                batches
                    .computeIfAbsent(key.substring(0, key.indexOf('.')), k -> new LinkedHashMap<>())
                    .put(key.substring(key.indexOf('.') + 1), tensor));
    return new GoldenBatches(
        batches.entrySet().stream()
            .sorted(Map.Entry.comparingByKey())
            .map(Map.Entry::getValue)
            .toList());
  }

  /** The first batches as what a method may look at before it starts. */
  public DataProbe probe(int count) {
    return new DataProbe() {
      @Override
      public List<Map<String, Tensor>> batches() {
        return batches.subList(0, count);
      }

      @Override
      public long seed() {
        return 0;
      }

      @Override
      public Graph judged(Graph model) {
        return Loss.CROSS_ENTROPY.attach(model, "logits");
      }
    };
  }

  @Override
  public int size() {
    return ROWS * batches.size();
  }

  @Override
  public Map<String, Tensor> batch(int[] rows) {
    int number = rows[0] / ROWS;
    for (int i = 0; i < ROWS; i++) {
      assertThat(rows[i]).isEqualTo(number * ROWS + i);
    }
    return batches.get(number);
  }

  @Override
  public int length(int row) {
    return (int) batches.get(row / ROWS).get("input_ids").dim(1);
  }

  @Override
  public long label(int row) {
    return batches.get(row / ROWS).get("labels").toLongs()[row % ROWS];
  }
}
