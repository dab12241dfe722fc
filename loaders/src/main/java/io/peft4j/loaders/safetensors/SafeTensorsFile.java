package io.peft4j.loaders.safetensors;

import io.peft4j.CheckpointFormatException;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What a SafeTensors file, or the files that an index lists, hold.
 *
 * @param file the file or index that was read
 * @param tensors by name, in the order of the header; their data are read-only views of the mapped
 *     file, so the file must not be changed in place while they are used
 * @param metadata the free text of {@code __metadata__}; empty if there is none
 */
public record SafeTensorsFile(
    Path file, Map<String, Tensor> tensors, Map<String, String> metadata) {
  public SafeTensorsFile {
    tensors = Collections.unmodifiableMap(new LinkedHashMap<>(tensors));
    metadata = Collections.unmodifiableMap(new LinkedHashMap<>(metadata));
  }

  /**
   * The tensor of this name.
   *
   * @throws CheckpointFormatException if the file has none
   */
  public Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new CheckpointFormatException(
          "%s: there is no tensor '%s' among its %d; check that the file belongs to the model"
              .formatted(file, name, tensors.size()));
    }
    return tensor;
  }
}
