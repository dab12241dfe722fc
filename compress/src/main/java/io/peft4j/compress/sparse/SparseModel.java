package io.peft4j.compress.sparse;

import io.peft4j.PretrainedModel;
import java.util.List;

/**
 * A model with weights that are zero. It has the parameters, and takes the bytes and the time, of
 * the model it was made from, unless a file is compressed or a runtime makes use of zeros.
 *
 * @param layers what became of each target
 */
public record SparseModel(PretrainedModel model, List<LayerSparsity> layers) {
  /** Under this key of a graph's metadata stands how it was made sparse, as a JSON object. */
  public static final String METADATA_KEY = "peft4j.sparsity";

  public SparseModel {
    layers = List.copyOf(layers);
  }

  /** The share of zeros in the targets together. */
  public double sparsity() {
    long weights = layers.stream().mapToLong(LayerSparsity::weights).sum();
    return (double) layers.stream().mapToLong(LayerSparsity::zeros).sum() / weights;
  }

  /** The share of zeros in all weights of the model. */
  public double modelSparsity() {
    long zeros = 0;
    for (String name : model.graph().parameters()) {
      for (float value : model.graph().initializer(name).toFloats()) {
        zeros += value == 0 ? 1 : 0;
      }
    }
    return (double) zeros / model.graph().parameterCount();
  }
}
