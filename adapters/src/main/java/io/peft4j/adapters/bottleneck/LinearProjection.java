package io.peft4j.adapters.bottleneck;

import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.Tensor;

/** x Wᵀ + b. */
record LinearProjection(Start start) implements Projection {
  @Override
  public String add(
      Attachment at, String module, String prefix, boolean down, String x, int in, int out) {
    Tensor first = down ? start.down(at, out, in) : start.up(at, out, in);
    String weight = at.parameter(module, prefix + "weight", first);
    String bias = at.parameter(module, prefix + "bias", Attachment.filled(0, out));
    return at.linear(scope(module, prefix), x, weight, bias);
  }

  static String scope(String module, String prefix) {
    return module + "." + prefix.substring(0, prefix.length() - 1);
  }
}
