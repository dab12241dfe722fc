package io.peft4j.cli;

import io.peft4j.PeftException;
import io.peft4j.compress.export.ServingFiles;
import io.peft4j.format.AtomicWrite;
import io.peft4j.graph.Graph;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What lies beside a model of texts that was written to another folder than it came from: its
 * tokenizer and, for a classifier, labels and serving properties.
 */
final class BesideModel {
  private final Path folder;
  private final Map<String, byte[]> files = new LinkedHashMap<>();

  private BesideModel(Path folder) {
    this.folder = folder;
  }

  /**
   * @param source the file or folder of the model
   * @param output the ONNX file
   */
  static BesideModel of(Path source, Path output, Graph graph, List<String> labels, int maxLength) {
    Path from = source.toAbsolutePath().normalize();
    from = Files.isDirectory(from) ? from : from.resolveSibling("");
    Path to = output.toAbsolutePath().normalize().resolveSibling("");
    BesideModel beside = new BesideModel(to);
    Path tokenizer = from.resolve("tokenizer.json");
    if (from.equals(to) || !Files.isRegularFile(tokenizer)) {
      return beside;
    }
    try (Scratch scratch = new Scratch()) {
      if (labels.isEmpty()) {
        Files.copy(tokenizer, scratch.file("tokenizer.json"));
      } else {
        String stem = output.getFileName().toString().replaceFirst("\\.onnx$", "");
        ServingFiles.textClassification(
            scratch.folder(), stem, graph, labels, tokenizer, maxLength);
      }
      for (String name : List.of("tokenizer.json", "config.json", "serving.properties")) {
        if (Files.exists(scratch.file(name))) {
          beside.files.put(name, Files.readAllBytes(scratch.file(name)));
        }
      }
      return beside;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Writes the files.
   *
   * @throws PeftException if there is another one under a name and it must stay; nothing is written
   *     then
   */
  void write(boolean overwrite) {
    try {
      for (String name : files.keySet()) {
        Path target = folder.resolve(name);
        boolean other =
            Files.exists(target) && !Arrays.equals(Files.readAllBytes(target), files.get(name));
        if (other && !overwrite) {
          throw new PeftException(
              "%s belongs to another model; give --output a folder of its own, or add --overwrite"
                  .formatted(target));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    files.forEach(
        (name, content) ->
            AtomicWrite.file(folder.resolve(name), file -> Files.write(file, content)));
  }
}
