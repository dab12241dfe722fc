package io.peft4j.compress.compare;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.PeftException;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A started {@link Worker}, from the side that asks. */
final class WorkerProcess implements AutoCloseable {
  private static final ObjectMapper JSON =
      new ObjectMapper().disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);

  private final String name;
  private final Process process;
  private final BufferedWriter requests;
  private final BufferedReader answers;
  private final Path errors;
  private final Memory before;
  private Memory memory;

  /**
   * Starts the process and waits until its model is open.
   *
   * @param scratch a folder for what the process says on its standard error
   */
  WorkerProcess(
      PreparedModel model, List<WorkerMessage.Text> texts, Settings settings, Path scratch)
      throws IOException {
    name = model.candidate().name();
    errors = scratch.resolve("worker.err");
    process = new ProcessBuilder(command()).redirectError(errors.toFile()).start();
    requests = process.outputWriter(StandardCharsets.UTF_8);
    answers = process.inputReader(StandardCharsets.UTF_8);
    boolean open = false;
    try {
      before = answer().memory();
      WorkerMessage.Job job =
          new WorkerMessage.Job(
              model.onnx().toAbsolutePath().toString(),
              model.output(),
              model.tokenizer().toAbsolutePath().toString(),
              settings.maxLength(),
              settings.threads(),
              texts);
      memory = ask(job).memory();
      open = true;
    } finally {
      if (!open) {
        close();
      }
    }
  }

  /** A small heap of fixed shape: what the process holds beyond it is the model's. */
  private static List<String> command() {
    Path java = Path.of(System.getProperty("java.home"), "bin", "java");
    return List.of(
        java.toString(),
        "-XX:+UseSerialGC",
        "-Xms32m",
        "-Xmn16m",
        "-Dai.djl.offline=true",
        "-cp",
        System.getProperty("java.class.path"),
        Worker.class.getName());
  }

  /** The scores of rows, [rows][labels]. */
  float[][] scores(int[] rows, int batch) throws IOException {
    float[][] scores = ask(new WorkerMessage.Request(rows, batch, null)).scores();
    if (scores == null) {
      throw new PeftException(name + ": its process gave no scores");
    }
    return scores;
  }

  /** The milliseconds of each call over the rows, for at least so many seconds. */
  double[] milliseconds(int[] rows, int batch, double seconds) throws IOException {
    long[] nanos = ask(new WorkerMessage.Request(rows, batch, seconds)).nanos();
    if (nanos == null) {
      throw new PeftException(name + ": its process gave no times");
    }
    return java.util.Arrays.stream(nanos).mapToDouble(n -> n / 1e6).toArray();
  }

  /** Before the model was opened. */
  Memory before() {
    return before;
  }

  /** After the last answer. */
  Memory memory() {
    return memory;
  }

  private WorkerMessage.Answer ask(Object request) throws IOException {
    try {
      requests.write(JSON.writeValueAsString(request));
      requests.newLine();
      requests.flush();
    } catch (IOException e) {
      throw ended();
    }
    WorkerMessage.Answer answer = answer();
    memory = answer.memory();
    return answer;
  }

  private WorkerMessage.Answer answer() throws IOException {
    String line = answers.readLine();
    if (line == null) {
      throw ended();
    }
    WorkerMessage.Answer answer = JSON.readValue(line, WorkerMessage.Answer.class);
    if (answer.error() != null) {
      throw new PeftException("model '%s': %s".formatted(name, answer.error()));
    }
    return answer;
  }

  private PeftException ended() throws IOException {
    List<String> said = Files.readAllLines(errors);
    return new PeftException(
        "model '%s': its process ended early (%s); check the memory of this machine"
            .formatted(name, said.isEmpty() ? "it gave no reason" : said.get(0)));
  }

  @Override
  public void close() {
    process.destroy();
    try {
      process.waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
