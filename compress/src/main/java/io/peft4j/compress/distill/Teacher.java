package io.peft4j.compress.distill;

import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.data.BatchSource;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.DType;
import io.peft4j.graph.Dim;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Role;
import io.peft4j.site.Sites;
import io.peft4j.task.PooledHead;
import io.peft4j.train.Evaluation;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A classifier that others learn from. It is asked once for each set of rows; answers that were
 * written beside an earlier run are read again.
 *
 * @param model its scores are the output {@code logits}
 * @param tokenizer its own; opened and closed by the caller
 * @param cache the folder that answers are kept in; null to keep none
 */
public record Teacher(PretrainedModel model, TextTokenizer tokenizer, @Nullable Path cache) {
  /** The input of a student's loss with the teacher's features, float32 [batch, hidden]. */
  public static final String FEATURES = "teacher_features";

  /** Tokens of a batch, padding included; so many that the processor is busy, and no more. */
  private static final int BATCH_TOKENS = 1024;

  /**
   * One value to be asked for.
   *
   * @param value its name in the teacher's graph
   * @param perToken whether it is [batch, tokens, width] rather than [batch, width]
   */
  public record Question(String value, boolean perToken) {}

  public Teacher {
    if (!model.hasLogits()) {
      throw new PeftException(
          "the teacher '%s' has no output 'logits'; give a classifier, with its adapter merged"
              .formatted(model.graph().name()));
    }
  }

  /** A teacher whose answers are not kept on disk. */
  public Teacher(PretrainedModel model, TextTokenizer tokenizer) {
    this(model, tokenizer, null);
  }

  /** The classes in order; empty if the teacher does not name them. */
  public List<String> labels() {
    return model.checkpoint().labels();
  }

  /**
   * How many classes it scores.
   *
   * @throws PeftException if neither its labels nor its output say it
   */
  public int classes() {
    if (!labels().isEmpty()) {
      return labels().size();
    }
    return model.graph().outputs().stream()
        .filter(value -> value.name().equals(PooledHead.LOGITS) && value.shape() != null)
        .flatMap(value -> value.shape() == null ? Stream.of() : value.shape().stream())
        .filter(Dim::isFixed)
        .map(dim -> Math.toIntExact(dim.size()))
        .reduce((first, last) -> last)
        .orElseThrow(
            () ->
                new PeftException(
                    "the teacher '%s' does not say how many classes it scores; name its labels"
                        .formatted(model.graph().name())));
  }

  /**
   * The layer that makes the scores out of the features.
   *
   * @throws PeftException if no linear layer makes them
   */
  LinearSite requiredHead() {
    return requiredHead(model.graph());
  }

  static LinearSite requiredHead(Graph graph) {
    return Sites.of(graph).linears().stream()
        .filter(site -> site.role() == Role.OUTPUT && site.output().equals(PooledHead.LOGITS))
        .findFirst()
        .orElseThrow(
            () ->
                new PeftException(
                    "the scores of model '%s' are not made by a linear layer, so it has no features to compare; learn from scores alone"
                        .formatted(graph.name())));
  }

  /** Rows as this teacher reads them. */
  public BatchSource read(Dataset rows) {
    return new TextBatches(rows, new long[0], tokenizer, model.graph().requiredInputs());
  }

  /** The teacher's scores of rows, under {@link SoftTargets#TEACHER}. */
  public Answers scores(Dataset rows) {
    return answers(rows, Map.of(SoftTargets.TEACHER, new Question(PooledHead.LOGITS, false)));
  }

  /** Rows with the label that the teacher holds most probable, in place of any of their own. */
  public Dataset labelled(Dataset rows) {
    long[] classes = Evaluation.classes(scores(rows).get(SoftTargets.TEACHER).rows());
    List<Example> named = new ArrayList<>();
    for (int i = 0; i < classes.length; i++) {
      Example row = rows.examples().get(i);
      named.add(new Example(row.text(), row.second(), labels().get((int) classes[i]), row.line()));
    }
    return new Dataset(rows.name(), named);
  }

  /**
   * What the teacher says of rows.
   *
   * @param questions by the name that the answer gets
   */
  public Answers answers(Dataset rows, Map<String, Question> questions) {
    return answers(read(rows), questions);
  }

  Answers answers(BatchSource read, Map<String, Question> questions) {
    if (cache == null) {
      return ask(read, questions);
    }
    return new AnswerCache(cache).get(model.graph(), read, questions, () -> ask(read, questions));
  }

  private Answers ask(BatchSource rows, Map<String, Question> questions) {
    return ask(model.graph(), rows, questions);
  }

  /** Runs a graph over rows and keeps the values that are asked for. */
  static Answers ask(Graph whole, BatchSource rows, Map<String, Question> questions) {
    GraphEditor editor = whole.edit().clearOutputs();
    questions.values().stream()
        .map(Question::value)
        .distinct()
        .forEach(value -> editor.output(Value.of(value, DType.FLOAT32)));
    Graph graph = editor.prune().build();
    try (Program program = TorchEngine.compile(graph, CompileOptions.evaluation())) {
      return ask(program, rows, questions);
    }
  }

  private static Answers ask(Program program, BatchSource rows, Map<String, Question> questions) {
    List<Collected> collected =
        questions.entrySet().stream()
            .map(e -> new Collected(e.getKey(), e.getValue(), new float[rows.size()][]))
            .toList();
    int[] order =
        IntStream.range(0, rows.size())
            .boxed()
            .sorted(Comparator.comparingInt(rows::length))
            .mapToInt(Integer::intValue)
            .toArray();
    int to;
    for (int from = 0; from < order.length; from = to) {
      to = from + 1;
      while (to < order.length && (to + 1 - from) * rows.length(order[to]) <= BATCH_TOKENS) {
        to++;
      }
      int[] numbers = Arrays.copyOfRange(order, from, to);
      Map<String, Tensor> inputs = new LinkedHashMap<>(rows.batch(numbers));
      inputs.keySet().retainAll(program.inputNames());
      Map<String, Tensor> outputs = program.run(inputs);
      for (Collected one : collected) {
        one.keep(outputs.get(one.question.value()), numbers, rows);
      }
    }
    Map<String, Answers.Answer> answers = new LinkedHashMap<>();
    for (Collected one : collected) {
      boolean perToken = one.question.perToken();
      answers.put(one.name, new Answers.Answer(one.width, perToken, one.found));
    }
    return new Answers(answers);
  }

  /** The answers to one question so far. */
  private static final class Collected {
    private final String name;
    private final Question question;
    private final float[][] found;
    private int width;

    Collected(String name, Question question, float[][] found) {
      this.name = name;
      this.question = question;
      this.found = found;
    }

    void keep(@Nullable Tensor output, int[] numbers, BatchSource rows) {
      if (output == null || output.rank() != (question.perToken() ? 3 : 2)) {
        throw new PeftException(
            "the teacher's value '%s' is %s, where [batch, %swidth] is needed"
                .formatted(question.value(), output, question.perToken() ? "tokens, " : ""));
      }
      width = Math.toIntExact(output.dim(-1));
      float[] flat = output.toFloats();
      int stride = flat.length / numbers.length;
      for (int i = 0; i < numbers.length; i++) {
        int size = question.perToken() ? rows.length(numbers[i]) * width : width;
        found[numbers[i]] = Arrays.copyOfRange(flat, i * stride, i * stride + size);
      }
    }
  }
}
