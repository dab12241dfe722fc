package io.peft4j.cli.quickstart;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import com.google.common.io.Resources;
import io.peft4j.PeftException;
import io.peft4j.data.DataFiles;
import io.peft4j.data.Dataset;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The model all-MiniLM-L6-v2 and the support tickets of the class path, as files in a temporary
 * folder that goes when this is closed.
 */
final class EmbeddedModel implements AutoCloseable {
  private static final String MODEL = "all-minilm-l6-v2.onnx";
  private static final String TOKENIZER = "all-minilm-l6-v2-tokenizer.json";

  private final Path folder;
  private final Thread cleaner = new Thread(this::delete);

  EmbeddedModel() {
    try {
      folder = Files.createTempDirectory("peft4j-quickstart");
      Runtime.getRuntime().addShutdownHook(cleaner);
      copy("/" + MODEL, MODEL);
      copy("/" + TOKENIZER, "tokenizer.json");
    } catch (IOException e) {
      throw new PeftException(
          "the embedded model cannot be unpacked (%s); check the space in the temporary folder"
              .formatted(e.getMessage()),
          e);
    }
  }

  /** The ONNX file. */
  Path model() {
    return folder.resolve(MODEL);
  }

  Path tokenizer() {
    return folder.resolve("tokenizer.json");
  }

  /** Reads one of the two parts of the data: {@code train} or {@code test}. */
  Dataset data(String part) {
    try {
      copy(part + ".tsv", part + ".tsv");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return DataFiles.read(folder.resolve(part + ".tsv"), DataFiles.Columns.standard(), true);
  }

  private void copy(String resource, String file) throws IOException {
    try (InputStream input = Resources.getResource(EmbeddedModel.class, resource).openStream()) {
      Files.copy(input, folder.resolve(file));
    }
  }

  private void delete() {
    try {
      if (Files.exists(folder)) {
        MoreFiles.deleteRecursively(folder, RecursiveDeleteOption.ALLOW_INSECURE);
      }
    } catch (IOException e) {
      // A temporary folder that the system clears in time.
    }
  }

  @Override
  public void close() {
    delete();
    try {
      Runtime.getRuntime().removeShutdownHook(cleaner);
    } catch (IllegalStateException e) {
      // The JVM is going down; the hook runs by itself.
    }
  }
}
