package io.peft4j.data;

import io.peft4j.PeftException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ServiceLoader;

/** Opens the tokenizer that lies beside a model. */
public final class TextTokenizers {
  private static final String FILE = "tokenizer.json";

  private TextTokenizers() {}

  /**
   * The file that the tokenizer of a model is read from: {@code tokenizer.json} in its folder.
   *
   * @param model the model's file or folder
   * @throws PeftException if there is none
   */
  public static Path file(Path model) {
    Path file = beside(model);
    if (!Files.isRegularFile(file)) {
      throw new PeftException(
          "model " + model + " has no tokenizer.json beside it; put the model's tokenizer there");
    }
    return file;
  }

  /** Where the tokenizer of a model would lie, the model's file or folder given. */
  public static Path beside(Path model) {
    Path absolute = model.toAbsolutePath();
    return Files.isDirectory(absolute) ? absolute.resolve(FILE) : absolute.resolveSibling(FILE);
  }

  /**
   * Opens a tokenizer file.
   *
   * @param maxLength tokens at most, special ones included
   */
  public static TextTokenizer open(Path file, int maxLength) {
    return ServiceLoader.load(TextTokenizerFactory.class).stream()
        .map(ServiceLoader.Provider::get)
        .filter(factory -> factory.accepts(file))
        .findFirst()
        .orElseThrow(
            () ->
                new PeftException(
                    "nothing on the class path reads " + file + "; add the module loaders"))
        .open(file, maxLength);
  }
}
