package io.peft4j.adapters.prompt;

import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.graph.Tensor;
import java.util.List;

/**
 * Prompt tuning (Lester et al., arXiv 2104.08691) as PEFT has it: trained vectors in the place of
 * the embeddings of so many tokens in front of the text. Outputs with a sequence are longer by
 * them.
 *
 * @param virtualTokens how many
 * @param init how they start
 */
public record PromptTuning(int virtualTokens, PromptStart init, List<String> modulesToSave)
    implements PromptMethod {

  public PromptTuning {
    Checks.atLeast("virtual_tokens", virtualTokens, 1);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** Prompt tuning with so many virtual tokens, which start as random words. */
  public static PromptTuning tokens(int count) {
    return new PromptTuning(count, PromptStart.SAMPLE_VOCAB, List.of());
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
    };
  }
}
