package io.peft4j.cli;

import io.peft4j.PeftException;
import io.peft4j.data.TextTokenizers;
import io.peft4j.format.AtomicWrite;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Where results may be written: never over something that is not a result. */
public final class Outputs {
  /** What every exported folder of ONNX has. */
  private static final List<String> EXPORT_MARKS = List.of("model.onnx", "README.md");

  private Outputs() {}

  /**
   * Refuses a folder that holds anything but an earlier result.
   *
   * @param marks files that every result of this kind has
   * @throws PeftException if the folder holds something else
   */
  public static void requireReplaceable(Path folder, List<String> marks) {
    if (!Files.exists(folder) || isEmpty(folder)) {
      return;
    }
    boolean earlier = Files.isDirectory(folder) && has(folder, marks);
    if (!earlier) {
      throw new PeftException(
          "%s is there already and is no earlier result (it lacks %s); give another --output"
              .formatted(folder, String.join(" and ", marks)));
    }
  }

  /**
   * Refuses a folder that holds anything.
   *
   * @throws PeftException if there is something
   */
  static void requireEmpty(Path folder) {
    if (Files.exists(folder) && !isEmpty(folder)) {
      throw new PeftException(
          folder + " is there already and is not empty; give another output, or delete it");
    }
  }

  /**
   * Refuses to write a model over its source or its adapter, over another result unless that is
   * wanted, and over a folder that is no model in any case.
   *
   * @param adapter null if there is none
   * @throws PeftException if something is there that must stay
   */
  static void requireModelTarget(
      Path target, boolean overwrite, Path source, @Nullable Path adapter) {
    if (!Files.exists(target) || isEmpty(target)) {
      return;
    }
    requireApart(target, source, "model");
    if (adapter != null) {
      requireApart(target, adapter, "adapter");
    }
    if (!overwrite) {
      throw new PeftException(
          target + " is there already; give another --output, or add --overwrite");
    }
    if (Files.isDirectory(target) && !has(target, EXPORT_MARKS)) {
      requireReplaceable(target, List.of("config.json", "model.safetensors"));
    }
  }

  /**
   * Refuses to write an adapter over one of its sources, over another adapter unless that is
   * wanted, and over anything that is no adapter in any case.
   *
   * @throws PeftException if something is there that must stay
   */
  public static void requireAdapterTarget(Path target, boolean overwrite, List<Path> sources) {
    requireFolderTarget(target, overwrite, sources, List.of("adapter_config.json"));
  }

  /**
   * As {@link #requireAdapterTarget}, for a folder of another kind.
   *
   * @param marks files that every result of this kind has
   */
  public static void requireFolderTarget(
      Path target, boolean overwrite, List<Path> sources, List<String> marks) {
    if (!Files.exists(target) || (Files.isDirectory(target) && isEmpty(target))) {
      return;
    }
    for (Path source : sources) {
      requireApart(target, source, "source");
    }
    if (!Files.isDirectory(target)) {
      throw new PeftException(target + " is a file; give a folder as --output");
    }
    if (!overwrite) {
      throw new PeftException(
          target + " is there already; give another --output, or add --overwrite");
    }
    requireReplaceable(target, marks);
  }

  /**
   * Puts a model's tokenizer beside the ONNX file that was made of it, so that the file can be
   * given texts. One that is there already stays.
   */
  static void tokenizerBeside(Path target, Path source) {
    Path tokenizer = TextTokenizers.beside(source);
    Path copy = TextTokenizers.beside(target);
    if (Files.isRegularFile(target) && Files.isRegularFile(tokenizer) && !Files.exists(copy)) {
      AtomicWrite.file(copy, temporary -> Files.copy(tokenizer, temporary));
    }
  }

  private static boolean has(Path folder, List<String> marks) {
    return marks.stream().allMatch(m -> Files.exists(folder.resolve(m)));
  }

  private static void requireApart(Path target, Path source, String what) {
    try {
      Path real = target.toRealPath();
      if (source.toRealPath().startsWith(real)) {
        throw new PeftException(
            "%s %s the %s itself; give another --output"
                .formatted(target, source.toRealPath().equals(real) ? "is" : "holds", what));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Whether there is nothing in a folder, or in a file. */
  private static boolean isEmpty(Path folder) {
    try {
      if (!Files.isDirectory(folder)) {
        return Files.size(folder) == 0;
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    try (Stream<Path> files = Files.list(folder)) {
      return files.findAny().isEmpty();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
