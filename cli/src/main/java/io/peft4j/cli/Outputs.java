package io.peft4j.cli;

import io.peft4j.PeftException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Where results may be written: never over something that is not a result. */
public final class Outputs {
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
    boolean earlier =
        Files.isDirectory(folder) && marks.stream().allMatch(m -> Files.exists(folder.resolve(m)));
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
   * Refuses to write a model where its source or a foreign folder is.
   *
   * @throws PeftException if the target is the source, or a folder that is no model
   */
  static void requireModelTarget(Path target, Path source) {
    Path absolute = target.toAbsolutePath().normalize();
    if (absolute.equals(source.toAbsolutePath().normalize())) {
      throw new PeftException(target + " is the model itself; give another --output");
    }
    if (Files.isDirectory(target)) {
      requireReplaceable(target, List.of("config.json", "model.safetensors"));
    }
  }

  private static boolean isEmpty(Path folder) {
    if (!Files.isDirectory(folder)) {
      return false;
    }
    try (Stream<Path> files = Files.list(folder)) {
      return files.findAny().isEmpty();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
