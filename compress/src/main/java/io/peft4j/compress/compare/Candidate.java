package io.peft4j.compress.compare;

import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A classifier to compare.
 *
 * @param name what it is called in the table
 * @param model an ONNX file, or a folder with SafeTensors or a {@code model.onnx}; the tokenizer
 *     lies beside it
 * @param adapter an adapter's folder; null for none
 */
public record Candidate(String name, Path model, @Nullable Path adapter) {

  /** A model, named after its file. */
  public static Candidate of(Path model) {
    return of(model, null);
  }

  /** A model with an adapter, both named after their files. */
  public static Candidate of(Path model, @Nullable Path adapter) {
    String name = name(model);
    return new Candidate(adapter == null ? name : name + "+" + name(adapter), model, adapter);
  }

  /** Another name for the same. */
  public Candidate named(String newName) {
    return new Candidate(newName, model, adapter);
  }

  private static String name(Path path) {
    Path absolute = path.toAbsolutePath().normalize();
    Path file = absolute.getFileName();
    String name = file == null ? absolute.toString() : file.toString();
    return name.endsWith(".onnx") ? name.substring(0, name.length() - ".onnx".length()) : name;
  }

  /** The model as a format reads it: of a folder that holds an exported model, the file. */
  Path checkpoint() {
    Path exported = model.resolve("model.onnx");
    boolean weights =
        Files.exists(model.resolve("model.safetensors"))
            || Files.exists(model.resolve("model.safetensors.index.json"));
    return Files.isDirectory(model) && !weights && Files.isRegularFile(exported) ? exported : model;
  }
}
