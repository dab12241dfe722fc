package io.peft4j.train;

import io.peft4j.adapter.DataProbe;
import io.peft4j.data.BatchSource;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.task.Objective;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Rows from all over the training data, a few batches of them.
 *
 * @param logits the output that the loss judges
 */
record TrainingProbe(BatchSource rows, int batchSize, long seed, Objective objective, String logits)
    implements DataProbe {
  /** How many rows are looked at. */
  private static final int ROWS = 256;

  @Override
  public List<Map<String, Tensor>> batches() {
    int count = Math.min(ROWS, rows.size());
    List<Map<String, Tensor>> batches = new ArrayList<>();
    for (int from = 0; from < count; from += batchSize) {
      int[] chosen = new int[Math.min(batchSize, count - from)];
      for (int i = 0; i < chosen.length; i++) {
        chosen[i] = (int) ((long) (from + i) * rows.size() / count);
      }
      batches.add(rows.batch(chosen));
    }
    return batches;
  }

  @Override
  public Graph judged(Graph model) {
    return objective.attach(model, logits);
  }
}
