package io.peft4j.data;

import java.nio.file.Path;

/** Opens tokenizers of one kind. Found by ServiceLoader. */
public interface TextTokenizerFactory {
  /** Whether this is a tokenizer file of this kind, for example {@code tokenizer.json}. */
  boolean accepts(Path file);

  /**
   * @param maxLength tokens at most, special ones included; longer texts are cut at the end
   * @throws io.peft4j.CheckpointFormatException if the file is damaged
   */
  TextTokenizer open(Path file, int maxLength);
}
