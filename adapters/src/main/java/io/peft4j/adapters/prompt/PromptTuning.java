package io.peft4j.adapters.prompt;

import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.graph.Tensor;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.task.AddedTokens;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Prompt tuning (Lester et al., arXiv 2104.08691) as PEFT has it: trained vectors in the place of
 * the embeddings of so many tokens in front of the text. Outputs with a sequence are longer by
 * them. The vectors start as the embeddings of random words.
 *
 * <p>P-tuning (Liu et al., arXiv 2103.10385) differs in that a small network makes the vectors
 * while they are trained. Its files hold the vectors alone, which are read, trained and written
 * here as they are.
 *
 * @param virtualTokens how many
 * @param pTuning whether files call it P-tuning
 */
public record PromptTuning(int virtualTokens, boolean pTuning, List<String> modulesToSave)
    implements ComposableMethod {

  public PromptTuning {
    if (virtualTokens < 1) {
      throw new RecipeException("virtualTokens must be at least 1, was " + virtualTokens);
    }
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** Prompt tuning with so many virtual tokens. */
  public static PromptTuning tokens(int count) {
    return new PromptTuning(count, false, List.of());
  }

  @Override
  public String name() {
    return pTuning ? "p-tuning" : "prompt-tuning";
  }

  @Override
  public Depth depth() {
    return Depth.MODEL;
  }

  @Override
  public void add(Attachment at) {
    VirtualTokens tokens = new VirtualTokens(at, virtualTokens);
    EmbeddingSite words = tokens.words();
    int hidden = Math.toIntExact(words.size());
    String prompt = PromptParts.parameter(at, start(at, words));
    String narrow = at.narrow("prompt", prompt, words.dtype());
    String row = PromptParts.reshaped(at, "prompt", narrow, 1, virtualTokens, hidden);
    tokens.replaceFront(words.output(), row, 1, Tensor.vector(virtualTokens, hidden));
    at.target(words.path());
    PromptParts.saveWhole(at, modulesToSave);
    new AddedTokens(0, virtualTokens).note(at.editor());
  }

  /** Embeddings of random words, [tokens, hidden]. */
  private Tensor start(Attachment at, EmbeddingSite words) {
    Tensor table = at.view().graph().initializer(words.weight());
    SplittableRandom random = at.random().split();
    int hidden = Math.toIntExact(words.size());
    float[] all = table.toFloats();
    float[] start = new float[virtualTokens * hidden];
    for (int i = 0; i < virtualTokens; i++) {
      int word = random.nextInt(Math.toIntExact(words.entries()));
      System.arraycopy(all, word * hidden, start, i * hidden, hidden);
    }
    return Tensor.ofFloats(new long[] {virtualTokens, hidden}, start);
  }
}
