package io.peft4j.compress.prune;

import java.util.Locale;

/** The parts of a model that can be taken out one by one, so that its shapes really shrink. */
public enum Structure {
  /** Neurons of feed-forward blocks. */
  NEURONS,
  /** Heads of attention; where queries share keys and values, whole groups. */
  HEADS,
  /** Output channels of convolutions, with all that is added to them. */
  CHANNELS,
  /** Entries of the residual stream, the same ones in every layer. */
  WIDTH,
  /** Whole layers: attention and feed-forward block with their norms. */
  LAYERS,
  /**
   * Rows of the vocabulary that a user's texts never need; {@link VocabularyPruning} takes them
   * out, since the tokenizer changes with them.
   */
  VOCABULARY;

  /** The name in lower case. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
