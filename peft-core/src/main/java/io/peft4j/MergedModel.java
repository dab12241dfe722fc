package io.peft4j;

import java.util.List;

/**
 * A model whose adapter was folded into its weights.
 *
 * @param model the merged model
 * @param labels the classes in order; empty if they are not known
 * @param maxOutputDifference the largest difference between its outputs and the adapted model's on
 *     the probe batch
 */
public record MergedModel(PretrainedModel model, List<String> labels, double maxOutputDifference) {
  public MergedModel {
    labels = List.copyOf(labels);
  }
}
