package io.peft4j.data;

import org.jspecify.annotations.Nullable;

/** Turns text into token ids, with special tokens, cut at a length and never padded. */
public interface TextTokenizer extends AutoCloseable {
  /**
   * The tokens of one text or pair.
   *
   * @param ids token ids, special tokens included
   * @param typeIds the segment of each token, as many as ids
   */
  record Tokens(long[] ids, long[] typeIds) {}

  /** Encodes a text, or a pair where {@code second} is given. */
  Tokens encode(String first, @Nullable String second);

  /** The id that padding is filled with. */
  long padId();

  @Override
  void close();
}
