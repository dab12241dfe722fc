package io.peft4j.compress.prune;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import io.peft4j.PeftException;
import io.peft4j.PretrainedModel;
import io.peft4j.UnsupportedModelException;
import io.peft4j.data.Dataset;
import io.peft4j.data.Example;
import io.peft4j.data.TextBatches;
import io.peft4j.data.TextTokenizer;
import io.peft4j.data.TextTokenizers;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.OutputDifference;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.Sites;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Takes the rows out of a model's table of tokens that a user's texts never need, and rewrites the
 * tokenizer. Kept are the tokens of the texts, special and added tokens, single characters that
 * occur or are ASCII, and bytes. Ids keep their order. The texts give the same tokens and outputs
 * as before, which is checked; others may be cut into smaller pieces.
 */
public final class VocabularyPruning {
  private static final int WHOLE = 1 << 20;
  private static final int COMPARED = 16;

  private final Graph graph;
  private final GraphView view;
  private final Path file;
  private final Dataset texts;

  private VocabularyPruning(PretrainedModel model, Path tokenizer, Dataset texts) {
    graph = model.graph();
    view = new GraphView(graph);
    file = tokenizer;
    this.texts = texts;
  }

  /**
   * Prunes the vocabulary.
   *
   * @param tokenizer the model's {@code tokenizer.json}
   * @param texts all that the model is to read well
   * @throws UnsupportedModelException if the tokenizer is of a kind that cannot be cut, or the
   *     model does more with ids than look up a table
   */
  public static PrunedVocabulary prune(PretrainedModel model, Path tokenizer, Dataset texts) {
    return new VocabularyPruning(model, tokenizer, texts).run(model);
  }

  private PrunedVocabulary run(PretrainedModel model) {
    List<EmbeddingSite> tables =
        Sites.of(graph).embeddings().stream().filter(site -> isOfTokens(site.indices())).toList();
    if (tables.isEmpty()) {
      throw new UnsupportedModelException(
          "model '%s' has no table that input_ids pick from".formatted(graph.name()));
    }
    int rows = Math.toIntExact(tables.get(0).entries());
    TokenizerVocabulary vocabulary = TokenizerVocabulary.read(file);
    if (vocabulary.size() > rows) {
      throw new PeftException(
          "%s has ids up to %d, the model's table only %d rows; they do not belong together"
              .formatted(file, vocabulary.size() - 1, rows));
    }
    BitSet kept = seen(vocabulary);
    int[] fresh = new int[rows];
    Arrays.fill(fresh, -1);
    int count = 0;
    for (int id = kept.nextSetBit(0); id >= 0; id = kept.nextSetBit(id + 1)) {
      fresh[id] = count++;
    }
    String renumbered = vocabulary.renumbered(fresh);
    Graph cut = cut(tables, rows, kept, fresh);
    ModelSize[] sizes = check(cut, renumbered, kept, fresh);
    return new PrunedVocabulary(
        new PretrainedModel(model.checkpoint().withGraph(cut)),
        renumbered,
        new PrunedModel.Kept(Structure.VOCABULARY, tables.get(0).path(), rows, count),
        sizes[0],
        sizes[1]);
  }

  /** Whether a value is the model's ids, with only their form changed. */
  private boolean isOfTokens(String value) {
    Node node = view.producer(value);
    if (node == null) {
      return value.endsWith("input_ids");
    }
    boolean form =
        List.of("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze").contains(node.op());
    return form && isOfTokens(node.requiredInput(0));
  }

  private BitSet seen(TokenizerVocabulary vocabulary) {
    BitSet kept = new BitSet();
    try (TextTokenizer tokenizer = TextTokenizers.open(file, WHOLE)) {
      kept.set(Math.toIntExact(tokenizer.padId()));
      for (Example row : texts.examples()) {
        for (long id : tokenizer.encode(row.text(), row.second()).ids()) {
          kept.set(Math.toIntExact(id));
        }
      }
    }
    vocabulary.close(kept);
    return kept;
  }

  private Graph cut(List<EmbeddingSite> tables, int rows, BitSet kept, int... fresh) {
    Dependencies dependencies = Dependencies.renumbering(graph, ValueShapes.of(graph));
    int[] ids = IntStream.range(0, rows).toArray();
    Map<Axis, int[]> reach =
        new LinkedHashMap<>(dependencies.follow(new Axis(tables.get(0).weight(), 0), ids));
    for (Value output : graph.outputs()) {
      int last = dependencies.shapes().rank(output.name()) - 1;
      Axis scores = new Axis(output.name(), last);
      if (last == 2 && dependencies.shapes().size(scores) == rows && !reach.containsKey(scores)) {
        reach.putAll(dependencies.follow(scores, ids)); // a head of its own
      }
    }
    Block block = new Block(Structure.VOCABULARY, tables.get(0).path(), rows, reach);
    BitSet gone = (BitSet) kept.clone();
    gone.flip(0, rows);
    Graph cut = Cutting.remove(dependencies, new Removal(Map.of(block, gone)).entries());
    return renumberComparisons(cut, fresh);
  }

  /** Ids that the graph compares with get their new numbers. */
  private Graph renumberComparisons(Graph cut, int... fresh) {
    GraphEditor editor = cut.edit();
    for (Node node : cut.nodes()) {
      if (node.is("Equal") && node.inputs().stream().anyMatch(this::isOfTokens)) {
        for (String side : node.inputs()) {
          Tensor constant = view.constant(side);
          if (constant != null && constant.size() == 1) {
            long id = constant.toLongs()[0];
            boolean known = id >= 0 && id < fresh.length && fresh[(int) id] >= 0;
            Tensor number = Tensor.ofLongs(constant.shape(), known ? fresh[(int) id] : -1);
            String renamed = editor.constant(side, number.cast(constant.dtype()));
            editor.replace(node, node.renamingUses(v -> v.equals(side) ? renamed : v));
          }
        }
      }
    }
    return editor.prune().build();
  }

  /** Checks that the texts are read alike; gives the sizes before and now. */
  private ModelSize[] check(Graph cut, String renumbered, BitSet kept, int... fresh) {
    Path folder = null;
    try {
      folder = Files.createTempDirectory("peft4j-vocabulary");
      Path written = Files.writeString(folder.resolve("tokenizer.json"), renumbered);
      try (TextTokenizer before = TextTokenizers.open(file, WHOLE);
          TextTokenizer after = TextTokenizers.open(written, WHOLE)) {
        for (Example row : texts.examples()) {
          requireSame(row, before, after, fresh);
        }
        compare(cut, written, kept);
        return new ModelSize[] {size(graph, before), size(cut, after)};
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      delete(folder);
    }
  }

  private ModelSize size(Graph of, TextTokenizer tokenizer) {
    TextBatches rows = new TextBatches(texts, new long[0], tokenizer, of.requiredInputs());
    return ModelSize.of(of, Calibration.middle(of, rows));
  }

  private static void delete(@Nullable Path folder) {
    try {
      if (folder != null) {
        MoreFiles.deleteRecursively(folder, RecursiveDeleteOption.ALLOW_INSECURE);
      }
    } catch (IOException e) {
      // A temporary folder that the system clears in time.
    }
  }

  private void requireSame(Example row, TextTokenizer before, TextTokenizer after, int... fresh) {
    long[] expected =
        Arrays.stream(before.encode(row.text(), row.second()).ids())
            .map(id -> fresh[(int) id])
            .toArray();
    if (!Arrays.equals(expected, after.encode(row.text(), row.second()).ids())) {
      throw new UnsupportedModelException(
          "%s: cut to the tokens of %s it reads the text of line %d in another way; its vocabulary cannot be pruned"
              .formatted(file, texts.name(), row.line()));
    }
  }

  private void compare(Graph cut, Path written, BitSet kept) {
    int length = 128;
    Dataset some =
        new Dataset(
            texts.name(), texts.examples().subList(0, Math.min(COMPARED, texts.examples().size())));
    Map<String, Tensor> expected = run(graph, some, file, length);
    Map<String, Tensor> found = run(cut, some, written, length);
    for (Map.Entry<String, Tensor> output : found.entrySet()) {
      Tensor whole = expected.get(output.getKey());
      if (whole == null || !whole.dtype().isFloat()) {
        continue;
      }
      int last = whole.rank() - 1;
      Tensor wanted =
          whole.dim(last) == output.getValue().dim(last)
              ? whole
              : whole.selected(last, kept.stream().toArray());
      double difference = OutputDifference.largest(wanted, output.getValue());
      if (!(difference <= Removal.TOLERANCE)) {
        throw new UnsupportedModelException(
            "output '%s' differs by %.3g once ids have new numbers: model '%s' does more with ids than look them up"
                .formatted(output.getKey(), difference, graph.name()));
      }
    }
  }

  private static Map<String, Tensor> run(Graph graph, Dataset rows, Path file, int length) {
    try (TextTokenizer tokenizer = TextTokenizers.open(file, length);
        Program program =
            TorchEngine.compile(graph.edit().freezeAll().build(), CompileOptions.evaluation())) {
      TextBatches batches = new TextBatches(rows, new long[0], tokenizer, graph.requiredInputs());
      return program.run(batches.batch(IntStream.range(0, rows.size()).toArray()));
    }
  }
}
