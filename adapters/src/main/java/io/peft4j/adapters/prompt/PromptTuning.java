package io.peft4j.adapters.prompt;

import io.peft4j.RecipeException;
import io.peft4j.adapter.TextIds;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.graph.Tensor;
import io.peft4j.site.EmbeddingSite;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * Prompt tuning (Lester et al., arXiv 2104.08691) as PEFT has it: trained vectors in the place of
 * the embeddings of so many tokens in front of the text. Outputs with a sequence are longer by
 * them.
 *
 * @param virtualTokens how many
 * @param init how they start
 * @param initText the text that they start as; empty for other starts
 * @param initTokens its token ids; empty until the model's tokenizer has turned the text into them
 */
public record PromptTuning(
    int virtualTokens,
    PromptStart init,
    String initText,
    List<Integer> initTokens,
    List<String> modulesToSave)
    implements PromptMethod {

  public PromptTuning {
    Checks.atLeast("virtualTokens", virtualTokens, 1);
    if (init == PromptStart.TEXT && initText.isBlank()) {
      throw new RecipeException("init is text, but there is no init_text; give one");
    }
    if (init != PromptStart.TEXT && !(initText.isEmpty() && initTokens.isEmpty())) {
      throw new RecipeException(
          "init_text and init_tokens go with init: text, was given init %s"
              .formatted(init.name().toLowerCase(Locale.ROOT)));
    }
    initTokens = List.copyOf(initTokens);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** Prompt tuning with so many virtual tokens, which start as random words. */
  public static PromptTuning tokens(int count) {
    return new PromptTuning(count, PromptStart.SAMPLE_VOCAB, "", List.of(), List.of());
  }

  /** Prompt tuning whose vectors start as the embeddings of a text. */
  public static PromptTuning text(int count, String text) {
    return new PromptTuning(count, PromptStart.TEXT, text, List.of(), List.of());
  }

  @Override
  public PromptTuning tokenized(TextIds ids) {
    if (init != PromptStart.TEXT || !initTokens.isEmpty()) {
      return this;
    }
    List<Integer> tokens =
        Arrays.stream(ids.first(initText, virtualTokens)).mapToObj(Math::toIntExact).toList();
    if (tokens.isEmpty()) {
      throw new RecipeException(
          "init_text '%s' has no token; give a text of the model's words".formatted(initText));
    }
    return new PromptTuning(virtualTokens, init, initText, tokens, modulesToSave);
  }

  @Override
  public String name() {
    return "prompt-tuning";
  }

  @Override
  public Depth depth() {
    return Depth.MODEL;
  }

  @Override
  public void add(Attachment at) {
    VirtualTokens tokens = new VirtualTokens(at, virtualTokens);
    PromptParts.putInFront(at, tokens, PromptParts.parameter(at, start(at, tokens)));
    PromptParts.saveWhole(at, modulesToSave);
  }

  /** [tokens, size]. */
  private Tensor start(Attachment at, VirtualTokens tokens) {
    return switch (init) {
      case SAMPLE_VOCAB -> PromptParts.wordsAtRandom(at, tokens.words(), virtualTokens);
      case RANDOM -> at.normal(1, virtualTokens, tokens.words().size());
      case TEXT -> PromptParts.embeddings(at, tokens.words(), textTokens(tokens.words()));
    };
  }

  /** The text's tokens, repeated or cut. */
  private int[] textTokens(EmbeddingSite words) {
    if (initTokens.isEmpty()) {
      throw new RecipeException(
          "init_text needs the model's tokenizer, and a graph has none; attach to a model that was"
              + " opened with one, or give init_tokens");
    }
    for (int token : initTokens) {
      if (token < 0 || token >= words.entries()) {
        throw new RecipeException(
            "init_tokens holds %d, but '%s' has %d entries; is this the model's tokenizer?"
                .formatted(token, words.path(), words.entries()));
      }
    }
    return IntStream.range(0, virtualTokens)
        .map(i -> initTokens.get(i % initTokens.size()))
        .toArray();
  }
}
