package io.peft4j.adapters.bottleneck;

import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.Nonlinearity;
import io.peft4j.graph.DType;

/** Adds the coupling between the embeddings and the first layer. */
final class CouplingLayer {
  private static final double DEVIATION = 0.02;

  private final Coupling coupling;
  private final String nonLinearity;
  private final Attachment at;
  private final String module;

  CouplingLayer(Coupling coupling, String nonLinearity, Attachment at) {
    this.coupling = coupling;
    this.nonLinearity = nonLinearity;
    this.at = at;
    module = at.names().model();
  }

  void add() {
    if (at.view().graph().outputs().stream().anyMatch(v -> v.shape() != null && isVocabulary(v))) {
      throw new RecipeException(
          "inv_adapter inverts its change before a language model's output layer, which is not"
              + " supported; leave it out for this model");
    }
    String embeddings = at.embeddings();
    DType dtype = at.layers().get(0).attention().query().dtype();
    int hidden = at.hiddenSize();
    int first = hidden / 2;
    int second = hidden - first;
    at.mark();
    String scope = "invertible_adapters." + at.adapter();
    String x = at.wide(scope, embeddings, dtype);
    String x1 = at.slice(scope, x, -1, 0, first);
    String x2 = at.slice(scope, x, -1, first, hidden);
    String y1 = at.node(scope, "Add", x1, network("F", x2, second, first));
    String y2 = at.node(scope, "Add", x2, network("G", y1, first, second));
    String y = at.joined(scope, -1, y1, y2);
    at.rewire(embeddings, at.narrow(scope, y, dtype));
  }

  private boolean isVocabulary(io.peft4j.graph.Value output) {
    return at.sites().embeddings().stream()
        .anyMatch(
            table ->
                output.shape() != null
                    && output.shape().size() == 3
                    && output.shape().get(2).isFixed()
                    && output.shape().get(2).size() == table.entries());
  }

  private String network(String name, String x, int in, int out) {
    String prefix = "invertible_adapters." + at.adapter() + "." + name + ".";
    int width = (int) Math.floor(in / coupling.reduction());
    String h = layer(prefix + "0.", x, in, width);
    h = Nonlinearity.add(at, prefix + "1", h, nonLinearity);
    return layer(prefix + "2.", h, width, out);
  }

  private String layer(String prefix, String x, int in, int out) {
    String weight = at.parameter(module, prefix + "weight", at.normal(DEVIATION, out, in));
    String bias = at.parameter(module, prefix + "bias", Attachment.filled(0, out));
    return at.linear(prefix.substring(0, prefix.length() - 1), x, weight, bias);
  }
}
