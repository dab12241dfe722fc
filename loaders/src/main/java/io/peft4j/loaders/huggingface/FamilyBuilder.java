package io.peft4j.loaders.huggingface;

import java.util.List;

/** Makes the graph of one model family out of its configuration and weights. */
interface FamilyBuilder {
  /** The {@code model_type} of config.json. */
  String modelType();

  /** The {@code architectures} that can be built; the first is taken where config.json has none. */
  List<String> architectures();

  /**
   * What stands before the names of the base model's weights in checkpoints of models with a head,
   * the dot included; in a file it may be there or not. Empty if there is no such prefix.
   */
  default String basePrefix() {
    return "";
  }

  /**
   * Whether a tensor of the file is no weight: a mask or a table of angles that the library
   * computes anew and older checkpoints hold.
   */
  default boolean isBuffer(String name) {
    return false;
  }

  /**
   * The weight of the output layer where {@code tie_word_embeddings} is false; empty if the family
   * has no layer that may share the table of the embeddings.
   */
  default String untiedHead() {
    return "";
  }

  /**
   * Adds the model to a graph: inputs, nodes and outputs. Every key of the configuration that means
   * something must be read, or be named harmless; what is left over stops the import.
   *
   * @throws io.peft4j.CheckpointFormatException if a weight is missing or has the wrong shape
   * @throws io.peft4j.UnsupportedModelException if the configuration asks for what is not supported
   */
  void build(ModelConfig config, String architecture, GraphBlocks blocks);
}
