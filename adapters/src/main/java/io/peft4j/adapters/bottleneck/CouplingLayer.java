package io.peft4j.adapters.bottleneck;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.DType;
import io.peft4j.graph.Node;
import io.peft4j.graph.Value;
import io.peft4j.site.LinearSite;

/**
 * Adds the coupling between the embeddings and the first layer, and its inverse before the layer
 * that gives scores for a language model's vocabulary.
 */
final class CouplingLayer {
  private final CouplingBlock block;
  private final Attachment at;
  private final String scope;

  CouplingLayer(Coupling coupling, String nonLinearity, Attachment at) {
    this.at = at;
    block = CouplingBlock.of(coupling, nonLinearity, at);
    scope = "invertible_adapters." + at.adapter();
  }

  void add() {
    DType dtype = at.layers().get(0).attention().query().dtype();
    String embeddings = at.embeddings();
    at.mark();
    String x = at.wide(scope, embeddings, dtype);
    at.rewire(embeddings, at.narrow(scope, block.forward(x), dtype));
    for (Value output : new VocabularyOutputs(at.view(), at.sites()).find()) {
      invertBefore(outputLayer(output));
    }
  }

  private void invertBefore(LinearSite layer) {
    Node user = at.product(layer);
    String input = user.requiredInput(0);
    String y = at.wide(scope, input, layer.dtype());
    at.rewire(user, input, at.narrow(scope, block.inverse(y), layer.dtype()));
  }

  /** The layer whose output is an output of the model, which is a copy of it. */
  private LinearSite outputLayer(Value output) {
    Node copy = at.view().producer(output.name(), "Identity");
    return at.sites().linears().stream()
        .filter(layer -> copy != null && copy.requiredInput(0).equals(layer.output()))
        .findFirst()
        .orElseThrow(
            () ->
                new UnsupportedModelException(
                    "inv_adapter is taken back before a language model's output layer, but '%s' is not the output of a linear layer; leave inv_adapter out for this model"
                        .formatted(output.name())));
  }
}
