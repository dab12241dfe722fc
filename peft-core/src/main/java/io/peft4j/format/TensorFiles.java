package io.peft4j.format;

import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.Map;

/** Reads and writes SafeTensors files that are no models. Found by ServiceLoader. */
public interface TensorFiles {
  /**
   * The tensors of a file, by name, copied into memory: the file may be removed afterwards.
   *
   * @throws io.peft4j.CheckpointFormatException if the file is missing or damaged
   */
  Map<String, Tensor> read(Path file);

  /**
   * Writes a file, whole or not at all.
   *
   * @throws io.peft4j.PeftException if it cannot be written
   */
  void write(Path file, Map<String, Tensor> tensors);
}
