package io.peft4j.adapter;

/** Turns texts into token ids of the model that an adapter is attached to. */
@FunctionalInterface
public interface TextIds {
  /**
   * The first ids of a text, special tokens included.
   *
   * @param count how many at most
   * @throws io.peft4j.PeftException if the model has no tokenizer
   */
  long[] first(String text, int count);
}
