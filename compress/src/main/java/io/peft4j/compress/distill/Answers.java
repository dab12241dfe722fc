package io.peft4j.compress.distill;

import static com.google.common.base.Preconditions.checkArgument;

import io.peft4j.PeftException;
import io.peft4j.data.BatchSource;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a teacher says of rows.
 *
 * @param values by the name of the input that a loss takes them at
 */
public record Answers(Map<String, Answer> values) {
  /**
   * One value of each row.
   *
   * @param width the size of the last axis
   * @param perToken whether there is a vector for each token
   * @param rows [rows][width], or [rows][tokens · width]
   */
  public record Answer(int width, boolean perToken, float[][] rows) {}

  public Answers {
    values = Map.copyOf(values);
  }

  /** Answers that are one vector a row. */
  public static Answers of(String name, float[][] rows) {
    return new Answers(Map.of(name, new Answer(rows[0].length, false, rows)));
  }

  /** The answer of this name. */
  public Answer get(String name) {
    Answer answer = values.get(name);
    checkArgument(answer != null, "the teacher was not asked for '%s'", name);
    return answer;
  }

  /** Rows together with what the teacher says of them. */
  public BatchSource with(BatchSource rows) {
    values.forEach((name, answer) -> requireFitting(name, answer, rows));
    return new Taught(rows, this);
  }

  private static void requireFitting(String name, Answer answer, BatchSource rows) {
    checkArgument(
        answer.rows().length == rows.size(),
        "%s rows and %s answers of the teacher ('%s')",
        rows.size(),
        answer.rows().length,
        name);
    for (int row = 0; answer.perToken() && row < rows.size(); row++) {
      int tokens = answer.rows()[row].length / answer.width();
      if (tokens != rows.length(row)) {
        throw new PeftException(
            "row %d has %d tokens for the student and %d for the teacher; hidden states, relations and attention are learned from a teacher with the same tokenizer"
                .formatted(row + 1, rows.length(row), tokens));
      }
    }
  }

  private record Taught(BatchSource rows, Answers answers) implements BatchSource {
    @Override
    public int size() {
      return rows.size();
    }

    @Override
    public Map<String, Tensor> batch(int[] numbers) {
      Map<String, Tensor> batch = new LinkedHashMap<>(rows.batch(numbers));
      int longest = 1;
      for (int number : numbers) {
        longest = Math.max(longest, rows.length(number));
      }
      for (Map.Entry<String, Answer> entry : answers.values().entrySet()) {
        batch.put(entry.getKey(), tensor(entry.getValue(), numbers, longest));
      }
      return batch;
    }

    private static Tensor tensor(Answer answer, int[] numbers, int longest) {
      int size = answer.perToken() ? longest * answer.width() : answer.width();
      float[] flat = new float[numbers.length * size];
      for (int i = 0; i < numbers.length; i++) {
        float[] row = answer.rows()[numbers[i]];
        System.arraycopy(row, 0, flat, i * size, row.length);
      }
      List<Long> shape = new ArrayList<>(List.of((long) numbers.length));
      if (answer.perToken()) {
        shape.add((long) longest);
      }
      shape.add((long) answer.width());
      return Tensor.ofFloats(shape.stream().mapToLong(Long::longValue).toArray(), flat);
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
}
