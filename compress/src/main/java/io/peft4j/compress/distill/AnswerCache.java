package io.peft4j.compress.distill;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import io.peft4j.CheckpointFormatException;
import io.peft4j.data.BatchSource;
import io.peft4j.format.ContentHash;
import io.peft4j.format.Formats;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;

/**
 * Answers of teachers in a folder, a SafeTensors file each. Its name is a hash of the teacher's
 * graph and weights, of the rows as the teacher reads them, and of what was asked, so that other
 * answers are never taken for these.
 */
final class AnswerCache {
  private static final String LENGTHS = ".lengths";

  private final Path folder;

  AnswerCache(Path folder) {
    this.folder = folder;
  }

  /** The answers from the folder, or else the given ones, which are written there. */
  Answers get(
      Graph teacher,
      BatchSource rows,
      Map<String, Teacher.Question> questions,
      Supplier<Answers> ask) {
    Path file = folder.resolve("answers-" + identity(teacher, rows, questions) + ".safetensors");
    if (Files.isRegularFile(file)) {
      return read(file, questions);
    }
    Answers answers = ask.get();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    answers
        .values()
        .forEach(
            (name, answer) -> {
              tensors.put(name, flat(answer));
              tensors.put(name + LENGTHS, lengths(answer));
            });
    Formats.tensorFiles().write(file, tensors);
    return answers;
  }

  private static String identity(
      Graph teacher, BatchSource rows, Map<String, Teacher.Question> questions) {
    Hasher hasher = Hashing.sha256().newHasher();
    hasher.putString(teacher.toText(), UTF_8).putString(ContentHash.of(teacher), UTF_8);
    hasher.putString(new TreeMap<>(questions).toString(), UTF_8);
    for (int row = 0; row < rows.size(); row++) {
      new TreeMap<>(rows.batch(new int[] {row}))
          .forEach(
              (name, tensor) -> hasher.putString(name + tensor, UTF_8).putBytes(tensor.data()));
    }
    return hasher.hash().toString().substring(0, 32);
  }

  /** All rows behind each other, [vectors, width]. */
  private static Tensor flat(Answers.Answer answer) {
    int size = Arrays.stream(answer.rows()).mapToInt(row -> row.length).sum();
    float[] all = new float[size];
    int at = 0;
    for (float[] row : answer.rows()) {
      System.arraycopy(row, 0, all, at, row.length);
      at += row.length;
    }
    return Tensor.ofFloats(new long[] {size / answer.width(), answer.width()}, all);
  }

  /** How many vectors each row has. */
  private static Tensor lengths(Answers.Answer answer) {
    return Tensor.vector(
        Arrays.stream(answer.rows()).mapToLong(row -> row.length / answer.width()).toArray());
  }

  private static Answers read(Path file, Map<String, Teacher.Question> questions) {
    Map<String, Tensor> tensors = Formats.tensorFiles().read(file);
    Map<String, Answers.Answer> answers = new LinkedHashMap<>();
    questions.forEach(
        (name, question) -> {
          Tensor flat = tensors.get(name);
          Tensor lengths = tensors.get(name + LENGTHS);
          if (flat == null || lengths == null) {
            throw new CheckpointFormatException(
                "%s: it lacks '%s'; delete the file, and the teacher is asked again"
                    .formatted(file, name));
          }
          int width = Math.toIntExact(flat.dim(1));
          answers.put(
              name,
              new Answers.Answer(
                  width, question.perToken(), rows(flat.toFloats(), lengths.toLongs(), width)));
        });
    return new Answers(answers);
  }

  private static float[][] rows(float[] flat, long[] lengths, int width) {
    float[][] rows = new float[lengths.length][];
    int at = 0;
    for (int i = 0; i < rows.length; i++) {
      int size = Math.toIntExact(lengths[i]) * width;
      rows[i] = Arrays.copyOfRange(flat, at, at + size);
      at += size;
    }
    return rows;
  }
}
