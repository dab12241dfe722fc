package io.peft4j.compress.prune;

import io.peft4j.PretrainedModel;
import java.util.List;

/**
 * A model with smaller shapes.
 *
 * @param model saved as ONNX, as any model
 * @param blocks what each block had and has
 * @param before the size of the model that was given
 * @param after the size of this one
 * @param maskedDifference the largest output difference that was found between cutting units out
 *     and masking them with zeros
 */
public record PrunedModel(
    PretrainedModel model,
    List<Kept> blocks,
    ModelSize before,
    ModelSize after,
    double maskedDifference) {
  public PrunedModel {
    blocks = List.copyOf(blocks);
  }

  /**
   * What is left of a block.
   *
   * @param before its units in the model that was given
   * @param after its units now
   */
  public record Kept(Structure structure, String path, int before, int after) {}
}
