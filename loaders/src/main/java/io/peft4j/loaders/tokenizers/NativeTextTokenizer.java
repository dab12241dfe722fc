package io.peft4j.loaders.tokenizers;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import io.peft4j.PeftException;
import io.peft4j.data.TextTokenizer;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** A tokenizer of the native library. */
final class NativeTextTokenizer implements TextTokenizer {
  private final Path file;
  private final HuggingFaceTokenizer tokenizer;
  private final long padId;

  NativeTextTokenizer(Path file, HuggingFaceTokenizer tokenizer, long padId) {
    this.file = file;
    this.tokenizer = tokenizer;
    this.padId = padId;
  }

  @Override
  public Tokens encode(String first, @Nullable String second) {
    try {
      Encoding encoding =
          second == null ? tokenizer.encode(first) : tokenizer.encode(first, second);
      return new Tokens(encoding.getIds(), encoding.getTypeIds());
    } catch (RuntimeException e) {
      throw new PeftException(
          "%s: a text of %d characters cannot be tokenised: %s; check its encoding"
              .formatted(file, first.length(), TokenizerFile.oneLine(e.getMessage())),
          e);
    }
  }

  @Override
  public long padId() {
    return padId;
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
