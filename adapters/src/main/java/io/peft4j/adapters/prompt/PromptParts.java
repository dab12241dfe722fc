package io.peft4j.adapters.prompt;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.SavedModules;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.Tensor;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.task.AddedTokens;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** Steps that the prompts of PEFT share. */
final class PromptParts {
  /** The name of the vectors in files. */
  static final String VECTORS = "prompt_embeddings";

  private PromptParts() {}

  /** The vectors of a prompt, which files hold under a name of their own. */
  static String parameter(Attachment at, Tensor start) {
    String name = at.editor().constant(VECTORS + "." + at.adapter(), start);
    at.editor().train(name);
    at.add(new AdapterTensor(name, "", VECTORS, false, AdapterTensor.Owner.ADAPTER));
    return name;
  }

  /** Embeddings of random words, [tokens, size]. */
  static Tensor wordsAtRandom(Attachment at, EmbeddingSite words, int tokens) {
    SplittableRandom random = at.random().split();
    int entries = Math.toIntExact(words.entries());
    return embeddings(at, words, random.ints(tokens, 0, entries).toArray());
  }

  /** Embeddings of words, [tokens, size]. */
  static Tensor embeddings(Attachment at, EmbeddingSite words, int... ids) {
    float[] all = at.view().graph().initializer(words.weight()).toFloats();
    int size = Math.toIntExact(words.size());
    float[] rows = new float[ids.length * size];
    for (int i = 0; i < ids.length; i++) {
      System.arraycopy(all, ids[i] * size, rows, i * size, size);
    }
    return Tensor.ofFloats(new long[] {ids.length, size}, rows);
  }

  /** Puts vectors, [tokens, size], in the place of the embeddings of the tokens in front. */
  static void putInFront(Attachment at, VirtualTokens tokens, String vectors) {
    EmbeddingSite words = tokens.words();
    String narrow = at.narrow("prompt", vectors, words.dtype());
    String row = reshaped(at, "prompt", narrow, 1, tokens.count(), words.size());
    tokens.replaceFront(words.output(), row, 1, Tensor.vector(tokens.count(), words.size()));
    at.target(words.path());
    new AddedTokens(0, tokens.count()).note(at.editor());
  }

  /** Lets modules train whole; beside a prompt PEFT stores them without the model's own prefix. */
  static void saveWhole(Attachment at, List<String> modules) {
    for (AdapterTensor tensor : SavedModules.train(at.editor(), at.sites(), modules)) {
      at.add(
          new AdapterTensor(
              tensor.initializer(),
              tensor.module(),
              tensor.parameter(),
              tensor.transposed(),
              AdapterTensor.Owner.ADAPTED_MODEL));
    }
  }

  static String reshaped(Attachment at, String scope, String x, long... shape) {
    return at.node(scope, "Reshape", x, at.constant(scope + ".shape", Tensor.vector(shape)));
  }

  static String transposed(Attachment at, String scope, String x, long... permutation) {
    return at.node(scope, "Transpose", Map.of("perm", Attribute.ofInts(permutation)), x);
  }

  /**
   * Each head so many times, one behind the other: [1, heads, n, width] to [1, heads · times, …].
   */
  static String repeatedHeads(
      Attachment at, String scope, String x, long heads, long tokens, long width, long times) {
    if (times == 1) {
      return x;
    }
    String apart = reshaped(at, scope, x, heads, 1, tokens, width);
    String shape = at.constant(scope + ".times", Tensor.vector(heads, times, tokens, width));
    String spread = at.node(scope, "Expand", apart, shape);
    return reshaped(at, scope, spread, 1, heads * times, tokens, width);
  }
}
