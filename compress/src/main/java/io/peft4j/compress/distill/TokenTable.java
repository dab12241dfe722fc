package io.peft4j.compress.distill;

import io.peft4j.PeftException;
import io.peft4j.data.BatchSource;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.Sites;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a teacher knows of single tokens. */
record TokenTable(Teacher teacher, EmbeddingSite site) {
  private static final String FEATURES = "features";

  /**
   * @throws PeftException if no table is picked from by the input {@code input_ids}
   */
  static TokenTable of(Teacher teacher) {
    Graph graph = teacher.model().graph();
    return Sites.of(graph).embeddings().stream()
        .filter(site -> site.indices().equals(FeedForwardStudent.IDS))
        .findFirst()
        .map(site -> new TokenTable(teacher, site))
        .orElseThrow(
            () ->
                new PeftException(
                    "teacher '%s' has no table of embeddings that its input 'input_ids' picks from; a feed-forward student reads the tokens of a text model"
                        .formatted(graph.name())));
  }

  long entries() {
    return site.entries();
  }

  /** The table itself, [entries, size]. */
  Tensor table() {
    return teacher.model().graph().initializer(site.weight()).cast(DType.FLOAT32);
  }

  /**
   * The teacher's features for each token as if it were a text, [entries, hidden]. The idea is
   * model2vec's (Tulkens and van Dongen 2024).
   */
  Tensor outputs() {
    String value = teacher.requiredHead().input();
    BatchSource tokens =
        new SingleTokens(
            teacher.model().graph().requiredInputs(),
            Math.toIntExact(entries()),
            teacher.tokenizer().encode("", null).ids());
    Answers answers = teacher.answers(tokens, Map.of(FEATURES, new Teacher.Question(value, false)));
    Answers.Answer features = answers.get(FEATURES);
    float[] flat = new float[Math.toIntExact(entries() * features.width())];
    for (int i = 0; i < features.rows().length; i++) {
      System.arraycopy(features.rows()[i], 0, flat, i * features.width(), features.width());
    }
    return Tensor.ofFloats(new long[] {entries(), features.width()}, flat);
  }

  /**
   * Every token as a text of its own.
   *
   * @param special tokens of an empty text; a token stands before the last of them
   */
  private record SingleTokens(List<String> inputs, int size, long[] special)
      implements BatchSource {
    @Override
    public Map<String, Tensor> batch(int[] rows) {
      int length = special.length + 1;
      int place = Math.max(0, special.length - 1);
      long[] ids = new long[rows.length * length];
      for (int i = 0; i < rows.length; i++) {
        System.arraycopy(special, 0, ids, i * length, place);
        ids[i * length + place] = rows[i];
        System.arraycopy(special, place, ids, i * length + place + 1, special.length - place);
      }
      long[] shape = {rows.length, length};
      long[] ones = new long[ids.length];
      Arrays.fill(ones, 1);
      Map<String, Tensor> batch = new LinkedHashMap<>();
      for (String input : inputs) {
        batch.put(
            input,
            switch (input) {
              case FeedForwardStudent.IDS -> Tensor.ofLongs(shape, ids);
              case FeedForwardStudent.MASK -> Tensor.ofLongs(shape, ones);
              default -> Tensor.zeros(DType.INT64, shape);
            });
      }
      return batch;
    }

    @Override
    public int length(int row) {
      return special.length + 1;
    }

    @Override
    public long label(int row) {
      return -1;
    }
  }
}
