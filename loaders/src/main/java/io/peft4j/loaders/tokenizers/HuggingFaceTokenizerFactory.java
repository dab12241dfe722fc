package io.peft4j.loaders.tokenizers;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import io.peft4j.CheckpointFormatException;
import io.peft4j.RecipeException;
import io.peft4j.data.TextTokenizer;
import io.peft4j.data.TextTokenizerFactory;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Map;

/**
 * Tokenizers in the {@code tokenizer.json} of Hugging Face. Truncation and padding that the file
 * asks for are not followed: texts are cut at the given length and never padded.
 */
public final class HuggingFaceTokenizerFactory implements TextTokenizerFactory {
  @Override
  public boolean accepts(Path file) {
    Path name = file.getFileName();
    return name != null && name.toString().endsWith("tokenizer.json");
  }

  /**
   * {@inheritDoc}
   *
   * @throws RecipeException if {@code maxLength} has no room for a token
   */
  @Override
  public TextTokenizer open(Path file, int maxLength) {
    if (maxLength < 1) {
      throw new RecipeException("maxLength must be at least 1, was " + maxLength);
    }
    byte[] json = read(file);
    TokenizerFile facts = TokenizerFile.parse(file, json);
    String length = Integer.toString(maxLength);
    try {
      // The native library reports to its makers once a day unless told not to.
      if (System.getProperty(OPT_OUT) == null) {
        System.setProperty(OPT_OUT, "true");
      }
      HuggingFaceTokenizer tokenizer =
          HuggingFaceTokenizer.newInstance(
              new ByteArrayInputStream(json),
              Map.of(
                  "addSpecialTokens",
                  "true",
                  // What is cut off is native memory that only asking for it sets free.
                  "withOverflowingTokens",
                  "true",
                  "truncation",
                  "LONGEST_FIRST",
                  "padding",
                  "DO_NOT_PAD",
                  "stride",
                  "0",
                  "padToMultipleOf",
                  "0",
                  "maxLength",
                  length,
                  "modelMaxLength",
                  length));
      return new NativeTextTokenizer(file, tokenizer, facts.padId());
    } catch (IOException | RuntimeException e) {
      throw new CheckpointFormatException(
          "%s: it is no tokenizer that can be used: %s; fetch the file again"
              .formatted(file, TokenizerFile.oneLine(e.getMessage())),
          e);
    }
  }

  private static final String OPT_OUT = "OPT_OUT_TRACKING";

  private static byte[] read(Path file) {
    try {
      return Files.readAllBytes(file);
    } catch (NoSuchFileException e) {
      throw new CheckpointFormatException(file + ": there is no such file; check the path", e);
    } catch (IOException e) {
      throw new CheckpointFormatException(
          "%s: cannot be read: %s; check the path and its permissions"
              .formatted(file, TokenizerFile.oneLine(e.getMessage())),
          e);
    }
  }
}
