package io.peft4j.compress.distill;

import static com.google.common.base.Preconditions.checkArgument;

import io.peft4j.data.BatchSource;
import io.peft4j.graph.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Rows with what a teacher says of them, which was computed once.
 *
 * @param rows the rows as the student sees them
 * @param scores the teacher's scores of each row, [rows][classes]
 */
record TeacherBatches(BatchSource rows, float[][] scores) implements BatchSource {
  TeacherBatches {
    checkArgument(
        rows.size() == scores.length, "%s rows and %s teacher scores", rows.size(), scores.length);
  }

  @Override
  public int size() {
    return rows.size();
  }

  @Override
  public Map<String, Tensor> batch(int[] numbers) {
    int classes = scores[0].length;
    float[] flat = new float[numbers.length * classes];
    for (int i = 0; i < numbers.length; i++) {
      System.arraycopy(scores[numbers[i]], 0, flat, i * classes, classes);
    }
    Map<String, Tensor> batch = new LinkedHashMap<>(rows.batch(numbers));
    batch.put(SoftTargets.TEACHER, Tensor.ofFloats(new long[] {numbers.length, classes}, flat));
    return batch;
  }

  @Override
  public int length(int row) {
    return rows.length(row);
  }

  @Override
  public long label(int row) {
    return rows.label(row);
  }
}
