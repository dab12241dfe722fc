package io.peft4j.adapters.bottleneck;

import io.peft4j.RecipeException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.Nonlinearity;

/** A network of two layers in a coupling; its weights are added once, however often it is used. */
final class CouplingNetwork {
  private static final double DEVIATION = 0.02;

  private final Attachment at;
  private final String prefix;
  private final String nonLinearity;
  private final Layer first;
  private final Layer second;

  /**
   * @param name of the network in the coupling
   * @param reduction the size of what it reads / the width inside
   */
  CouplingNetwork(
      Attachment at, String name, String nonLinearity, int in, int out, double reduction) {
    this.at = at;
    this.nonLinearity = nonLinearity;
    prefix = "invertible_adapters." + at.adapter() + "." + name + ".";
    int width = (int) Math.floor(in / reduction);
    if (width < 1) {
      throw new RecipeException(
          "inv_adapter_reduction_factor %s leaves nothing of half the hidden size, %d; lower it"
              .formatted(reduction, in));
    }
    first = new Layer("0", in, width);
    second = new Layer("2", width, out);
  }

  /** [..., in] to [..., out]. */
  String add(String x) {
    String h = Nonlinearity.add(at, prefix + "1", first.add(x), nonLinearity);
    return second.add(h);
  }

  private final class Layer {
    private final String scope;
    private final String weight;
    private final String bias;

    Layer(String name, int in, int out) {
      String module = at.names().model();
      scope = prefix + name;
      weight = at.parameter(module, scope + ".weight", at.normal(DEVIATION, out, in));
      bias = at.parameter(module, scope + ".bias", Attachment.filled(0, out));
    }

    String add(String x) {
      return at.linear(scope, x, weight, bias);
    }
  }
}
