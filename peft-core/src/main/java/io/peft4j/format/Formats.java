package io.peft4j.format;

import io.peft4j.PeftException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.ServiceLoader;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** The formats on the class path. */
public final class Formats {
  private Formats() {}

  /**
   * The format that a checkpoint is in.
   *
   * @throws PeftException if there is nothing at the path, or no format takes it
   */
  public static ModelFormat model(Path path) {
    if (!Files.exists(path)) {
      throw new PeftException("model " + path + " does not exist; check the path");
    }
    return find(
        ModelFormat.class,
        format -> format.accepts(path),
        "model "
            + path
            + " is of no known format; give an .onnx file, or a folder with config.json and"
            + " model.safetensors",
        "loaders");
  }

  /** The format of this name. */
  public static ModelFormat modelNamed(String name) {
    return find(
        ModelFormat.class,
        format -> format.name().equals(name),
        "there is no model format '" + name + "'; known are onnx and safetensors",
        "loaders");
  }

  /** The format of an adapter folder. */
  public static AdapterFormat adapter(Path folder) {
    if (!Files.isDirectory(folder)) {
      throw new PeftException("adapter folder " + folder + " does not exist; check the path");
    }
    return find(
        AdapterFormat.class,
        format -> format.accepts(folder),
        "folder " + folder + " holds no adapter: it has no adapter_config.json" + hint(folder),
        "adapters");
  }

  /** Whether a folder directly holds an adapter of a known kind. */
  public static boolean holdsAdapter(Path folder) {
    return ServiceLoader.load(AdapterFormat.class).stream()
        .anyMatch(format -> format.get().accepts(folder));
  }

  /** The folders in a folder that directly hold adapters, by name. */
  public static List<Path> adaptersIn(Path folder) {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.filter(Files::isDirectory).filter(Formats::holdsAdapter).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String hint(Path folder) {
    List<Path> inside = adaptersIn(folder);
    return inside.isEmpty() ? "" : "; it holds adapter folders, give one of them: " + inside;
  }

  /** The first format that fits an adapter. */
  public static AdapterFormat adapterWriter(Predicate<AdapterFormat> test, String method) {
    return find(
        AdapterFormat.class, test, "no adapter format can hold the method " + method, "adapters");
  }

  /** What reads and writes files of tensors. */
  public static TensorFiles tensorFiles() {
    return find(TensorFiles.class, files -> true, "", "loaders");
  }

  private static <T> T find(Class<T> kind, Predicate<T> test, String otherwise, String module) {
    List<T> all = ServiceLoader.load(kind).stream().map(ServiceLoader.Provider::get).toList();
    if (all.isEmpty()) {
      throw new PeftException(
          "no " + kind.getSimpleName() + " is on the class path; add the module " + module);
    }
    return all.stream().filter(test).findFirst().orElseThrow(() -> new PeftException(otherwise));
  }
}
