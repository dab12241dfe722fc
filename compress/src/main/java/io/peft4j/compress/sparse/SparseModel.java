package io.peft4j.compress.sparse;

import io.peft4j.PretrainedModel;
import io.peft4j.adapter.Targets;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;

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

  /** The sparsity that a model has. */
  public static SparseModel measured(PretrainedModel model, Targets targets) {
    List<LayerSparsity> layers = new ArrayList<>();
    for (SparseLayer layer : SparseLayer.of(model.graph(), targets)) {
      Tensor weight = model.graph().initializer(layer.weight());
      layers.add(
          new LayerSparsity(
              layer.path(), weight.size(), SparseLayer.zeros(weight), OptionalDouble.empty()));
    }
    return new SparseModel(model, layers);
  }

  /** The share of zeros in the targets together. */
  public double sparsity() {
    long weights = layers.stream().mapToLong(LayerSparsity::weights).sum();
    return (double) layers.stream().mapToLong(LayerSparsity::zeros).sum() / weights;
  }

  /** The share of zeros in all weights of the model. */
  public double modelSparsity() {
    long zeros =
        model.graph().parameters().stream()
            .mapToLong(name -> SparseLayer.zeros(model.graph().initializer(name)))
            .sum();
    return (double) zeros / model.graph().parameterCount();
  }
}
