package io.peft4j.compress.compare;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** What is said between a comparison and the processes it starts, a line of JSON each. */
final class WorkerMessage {
  private WorkerMessage() {}

  /**
   * What a process is told before anything else.
   *
   * @param output the name of the output with the scores
   */
  record Job(
      String onnx, String output, String tokenizer, int maxLength, int threads, List<Text> texts) {}

  /** A text, or a pair. */
  record Text(String first, @Nullable String second) {}

  /**
   * What a process is asked. Without seconds: the scores of the rows. With seconds: the times of
   * calls over the rows, which begin anew until so much time is spent.
   *
   * @param rows numbers of texts
   * @param batch texts a call
   */
  record Request(int[] rows, int batch, @Nullable Double seconds) {}

  /**
   * What a process answers; only the fields that were asked for are there.
   *
   * @param error what went wrong
   * @param scores [rows][labels]
   * @param nanos the time of each call
   * @param memory after all that was done
   */
  record Answer(
      @Nullable String error, float @Nullable [][] scores, long @Nullable [] nanos, Memory memory) {

    static Answer failed(String error) {
      return new Answer(error, null, null, Memory.now());
    }

    static Answer ready() {
      return new Answer(null, null, null, Memory.now());
    }

    static Answer scored(float[][] scores) {
      return new Answer(null, scores, null, Memory.now());
    }

    static Answer timed(long[] nanos) {
      return new Answer(null, null, nanos, Memory.now());
    }
  }
}
