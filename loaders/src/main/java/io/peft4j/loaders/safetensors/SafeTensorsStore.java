package io.peft4j.loaders.safetensors;

import io.peft4j.format.TensorFiles;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** SafeTensors files for core. */
public final class SafeTensorsStore implements TensorFiles {
  /** For ServiceLoader. */
  public SafeTensorsStore() {}

  @Override
  public Map<String, Tensor> read(Path file) {
    Map<String, Tensor> copies = new LinkedHashMap<>();
    SafeTensors.read(file).tensors().forEach((name, tensor) -> copies.put(name, copy(tensor)));
    return copies;
  }

  private static Tensor copy(Tensor tensor) {
    return Tensor.of(
        tensor.dtype(),
        tensor.shape(),
        Tensor.allocate(tensor.byteSize()).put(tensor.data()).flip());
  }

  @Override
  public void write(Path file, Map<String, Tensor> tensors) {
    SafeTensors.write(file, tensors, Map.of());
  }
}
