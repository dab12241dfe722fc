package io.peft4j.cli;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** A temporary folder that goes when this is closed. */
final class Scratch implements AutoCloseable {
  private final Path folder;

  Scratch() {
    try {
      folder = Files.createTempDirectory("peft4j");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  Path folder() {
    return folder;
  }

  Path file(String name) {
    return folder.resolve(name);
  }

  /** The bytes of all files that are called so or lie in folders that are. */
  long bytes(String prefix) {
    try (Stream<Path> files = Files.walk(folder)) {
      long bytes = 0;
      List<Path> all =
          files
              .filter(Files::isRegularFile)
              .filter(f -> folder.relativize(f).toString().startsWith(prefix))
              .toList();
      for (Path file : all) {
        bytes += Files.size(file);
      }
      return bytes;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void close() {
    try {
      MoreFiles.deleteRecursively(folder, RecursiveDeleteOption.ALLOW_INSECURE);
    } catch (IOException e) {
      // A temporary folder that the system clears in time.
    }
  }
}
