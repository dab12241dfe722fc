package io.peft4j.compress.compare;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.PeftException;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * The process of one classifier. It reads a job and then requests from its standard input, answers
 * each on its standard output, and ends when there are no more.
 */
final class Worker {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final double NANOS = 1e9;

  private Worker() {}

  public static void main(String[] args) throws IOException {
    PrintStream answers = stream(FileDescriptor.out);
    System.setOut(stream(FileDescriptor.err)); // what libraries print must not get in between
    BufferedReader requests =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    send(answers, WorkerMessage.Answer.ready());
    try (OnnxClassifier model =
        OnnxClassifier.open(JSON.readValue(requests.readLine(), WorkerMessage.Job.class))) {
      send(answers, WorkerMessage.Answer.ready());
      for (String line = requests.readLine(); line != null; line = requests.readLine()) {
        send(answers, answer(model, JSON.readValue(line, WorkerMessage.Request.class)));
      }
    } catch (PeftException e) {
      send(answers, WorkerMessage.Answer.failed(String.valueOf(e.getMessage())));
    } catch (OutOfMemoryError e) {
      send(answers, WorkerMessage.Answer.failed("memory ran out; give it fewer rows"));
    }
  }

  private static PrintStream stream(FileDescriptor to) {
    return new PrintStream(new FileOutputStream(to), false, StandardCharsets.UTF_8);
  }

  private static void send(PrintStream answers, WorkerMessage.Answer answer) throws IOException {
    answers.println(JSON.writeValueAsString(answer));
    answers.flush();
  }

  private static WorkerMessage.Answer answer(OnnxClassifier model, WorkerMessage.Request request) {
    return request.seconds() == null
        ? WorkerMessage.Answer.scored(scores(model, request))
        : WorkerMessage.Answer.timed(times(model, request, request.seconds()));
  }

  /** In batches of texts of about one length, so that padding plays no part. */
  private static float[][] scores(OnnxClassifier model, WorkerMessage.Request request) {
    Integer[] order =
        Arrays.stream(request.rows())
            .boxed()
            .sorted(Comparator.comparingInt(model::length))
            .toArray(Integer[]::new);
    float[][] byRow = new float[model.size()][];
    for (int from = 0; from < order.length; from += request.batch()) {
      int[] rows =
          Arrays.stream(order, from, Math.min(order.length, from + request.batch()))
              .mapToInt(Integer::intValue)
              .toArray();
      float[][] scores = model.scores(rows);
      for (int i = 0; i < rows.length; i++) {
        byRow[rows[i]] = scores[i];
      }
    }
    return Arrays.stream(request.rows()).mapToObj(row -> byRow[row]).toArray(float[][]::new);
  }

  private static long[] times(OnnxClassifier model, WorkerMessage.Request request, double seconds) {
    List<Long> times = new ArrayList<>();
    long begin = System.nanoTime();
    do {
      for (int from = 0; from < request.rows().length; from += request.batch()) {
        int[] rows = Arrays.copyOfRange(request.rows(), from, from + request.batch());
        long start = System.nanoTime();
        model.scores(rows);
        times.add(System.nanoTime() - start);
      }
    } while (System.nanoTime() - begin < seconds * NANOS);
    return times.stream().mapToLong(Long::longValue).toArray();
  }
}
