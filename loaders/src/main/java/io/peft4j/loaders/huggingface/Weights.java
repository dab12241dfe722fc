package io.peft4j.loaders.huggingface;

import io.peft4j.CheckpointFormatException;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The tensors of a checkpoint under the names that the architecture gives them. A file may leave
 * out or add the prefix of the base model, and may have the old names of norm weights.
 */
final class Weights {
  private final Path file;
  private final Map<String, Tensor> tensors;
  private final String prefix;

  /**
   * @param file for messages
   * @param prefix of the base model's weights, with its dot; empty if there is none
   */
  Weights(Path file, Map<String, Tensor> tensors, String prefix) {
    this.file = file;
    this.tensors = tensors;
    this.prefix = prefix;
  }

  /** All tensors by the names that the file has. */
  Map<String, Tensor> all() {
    return tensors;
  }

  /** The element type of a tensor, by the name that the file has. */
  DType dtype(String key) {
    return Objects.requireNonNull(tensors.get(key), key).dtype();
  }

  boolean has(String name) {
    return find(name) != null;
  }

  /** The file's own name of a weight, or null if the file lacks it. */
  private @Nullable String find(String name) {
    String other =
        !prefix.isEmpty() && name.startsWith(prefix)
            ? name.substring(prefix.length())
            : prefix + name;
    for (String candidate : List.of(name, other, oldName(name), oldName(other))) {
      if (tensors.containsKey(candidate)) {
        return candidate;
      }
    }
    return null;
  }

  /** Norm weights as the first BERT checkpoints called them. */
  private static String oldName(String name) {
    return name.replaceFirst("LayerNorm\\.weight$", "LayerNorm.gamma")
        .replaceFirst("LayerNorm\\.bias$", "LayerNorm.beta");
  }

  /**
   * The file's own name of a weight.
   *
   * @param name as the architecture has it
   * @param shape what its shape must be
   * @throws CheckpointFormatException if it is missing or has another shape
   */
  String key(String name, long... shape) {
    String key = find(name);
    Tensor tensor = key == null ? null : tensors.get(key);
    if (key == null || tensor == null) {
      throw new CheckpointFormatException(
          "%s: tensor '%s' of shape %s is missing; config.json does not belong to these weights, or"
                  .formatted(file, name, Arrays.toString(shape))
              + " the checkpoint is not complete");
    }
    if (!Arrays.equals(tensor.shape(), shape)) {
      throw new CheckpointFormatException(
          "%s: tensor '%s' has shape %s, config.json asks for %s; fetch both from one place"
              .formatted(file, key, Arrays.toString(tensor.shape()), Arrays.toString(shape)));
    }
    return key;
  }

  Path file() {
    return file;
  }
}
