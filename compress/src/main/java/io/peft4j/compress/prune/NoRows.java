package io.peft4j.compress.prune;

import io.peft4j.data.BatchSource;
import io.peft4j.graph.Tensor;
import java.util.Map;

/** No data at all. */
record NoRows() implements BatchSource {
  @Override
  public int size() {
    return 0;
  }

  @Override
  public Map<String, Tensor> batch(int[] rows) {
    throw new IndexOutOfBoundsException("there are no rows");
  }

  @Override
  public int length(int row) {
    throw new IndexOutOfBoundsException("there are no rows");
  }

  @Override
  public long label(int row) {
    throw new IndexOutOfBoundsException("there are no rows");
  }
}
