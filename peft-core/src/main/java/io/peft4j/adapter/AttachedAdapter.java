package io.peft4j.adapter;

import io.peft4j.graph.Graph;
import java.util.List;

/**
 * An adapter on a model.
 *
 * @param name its name and tag
 * @param method the method with its settings
 * @param base the model without it
 * @param graph the adapted model, with the start values
 * @param tensors what the adapter's file holds
 * @param targets paths of the modules that it changes
 */
public record AttachedAdapter(
    String name,
    AdapterMethod method,
    Graph base,
    Graph graph,
    List<AdapterTensor> tensors,
    List<String> targets) {
  public AttachedAdapter {
    tensors = List.copyOf(tensors);
    targets = List.copyOf(targets);
  }

  public AttachedAdapter withGraph(Graph newGraph) {
    return new AttachedAdapter(name, method, base, newGraph, tensors, targets);
  }
}
