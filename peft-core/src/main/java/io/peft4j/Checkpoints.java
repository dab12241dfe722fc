package io.peft4j;

import io.peft4j.format.Formats;
import java.nio.file.Path;

/** Where models come from. */
public final class Checkpoints {
  private Checkpoints() {}

  /**
   * Opens a pretrained model: an ONNX file, or a folder with config.json and SafeTensors. Weights
   * are mapped, not copied.
   *
   * @throws CheckpointFormatException if a file is missing, damaged or contradicts itself
   * @throws UnsupportedModelException if the model holds something that is not supported
   */
  public static PretrainedModel open(Path path) {
    return new PretrainedModel(Formats.model(path).read(path));
  }
}
