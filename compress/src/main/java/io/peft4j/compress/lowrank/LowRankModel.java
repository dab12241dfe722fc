package io.peft4j.compress.lowrank;

import io.peft4j.PretrainedModel;
import java.util.List;

/**
 * A model of which layers are split in two.
 *
 * @param layers what became of each target
 */
public record LowRankModel(PretrainedModel model, List<LayerRank> layers) {
  /** Under this key of a graph's metadata stand the ranks of the layers, as a JSON object. */
  public static final String METADATA_KEY = "peft4j.ranks";

  public LowRankModel {
    layers = List.copyOf(layers);
  }
}
