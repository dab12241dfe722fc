package io.peft4j.format;

import io.peft4j.graph.Graph;
import java.nio.file.Path;

/** Reads and writes checkpoints of one kind. Found by ServiceLoader. */
public interface ModelFormat {
  /** The name that users give to {@code --format}: {@code onnx}, {@code safetensors}. */
  String name();

  /** Whether this path looks like a checkpoint of this kind; looks at names, does not read. */
  boolean accepts(Path path);

  /**
   * Reads a checkpoint. Weights are mapped, not copied.
   *
   * @throws io.peft4j.CheckpointFormatException if a file is missing, damaged or contradicts itself
   * @throws io.peft4j.UnsupportedModelException if it holds something that is not supported
   */
  Checkpoint read(Path path);

  /**
   * Writes a graph in this format, whole or not at all.
   *
   * @param origin the checkpoint that the graph was made from; what stands beside its weights
   *     (configuration, labels) is taken over
   * @param graph what to write
   * @param target a file or folder, as the format has it; replaced if it is there
   * @throws io.peft4j.UnsupportedModelException if the format cannot express the graph
   */
  void write(Checkpoint origin, Graph graph, Path target);
}
