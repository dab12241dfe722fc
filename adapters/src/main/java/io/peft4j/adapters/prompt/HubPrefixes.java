package io.peft4j.adapters.prompt;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.Nonlinearity;
import io.peft4j.adapters.compose.TransformerLayer;
import io.peft4j.graph.Tensor;
import io.peft4j.site.AttentionSite;
import java.util.List;

/** Adds the prefixes of all layers, which one pool makes. */
final class HubPrefixes {
  private static final double DEVIATION = 0.02;

  private final HubPrefixTuning method;
  private final Attachment at;
  private final String pool;
  private final AttentionHeads heads;

  HubPrefixes(HubPrefixTuning method, Attachment at) {
    this.method = method;
    this.at = at;
    pool = "prefix_tunings." + at.adapter() + ".self_prefix.";
    AttentionSite first = at.layers().get(0).attention();
    heads = AttentionHeads.of(at.folded(), first);
    if (first.query().outFeatures() != first.key().outFeatures()) {
      throw new UnsupportedModelException(
          "the queries of '%s' share keys, but AdapterHub's prefixes have keys for each of them; use prefix-tuning, which is PEFT's"
              .formatted(first.path()));
    }
  }

  void add() {
    List<TransformerLayer> layers =
        at.layers().stream().filter(layer -> !method.leaveOut().contains(layer.number())).toList();
    String states = states(layers.size());
    PrefixedAttention attention = new PrefixedAttention(at, method.length());
    for (int i = layers.size() - 1; i >= 0; i--) {
      TransformerLayer layer = layers.get(i);
      String module = module(layer);
      at.target(layer.attention().path());
      String keys = one(module + ".keys", states, 2 * i);
      String values = one(module + ".values", states, 2 * i + 1);
      if (method.gating()) {
        int gates = method.sharedGating() ? 1 : 2;
        String gate = gate(layer, module, gates);
        keys = at.node(module, "Mul", keys, single(module, gate, 0));
        values = at.node(module, "Mul", values, single(module, gate, gates - 1));
      }
      attention.add(layer.attention(), module, keys, values);
    }
  }

  /** The module with a layer's gate, and one more name of the pool. */
  private static String module(TransformerLayer layer) {
    String query = layer.attention().query().path();
    int end = query.lastIndexOf('.');
    return (end < 0 ? query : query.substring(0, end)) + ".prefix_tuning";
  }

  /** Keys and values of all layers in turn, [2 layers, heads, length, width]. */
  private String states(int layers) {
    int all = layers * 2 * heads.heads() * heads.width();
    int hidden = at.hiddenSize();
    String scope = at.names().model() + ".prefix_tuning." + at.adapter();
    String flat;
    if (method.flat()) {
      flat = parameter("control_trans", at.normal(1, (long) method.length() * all));
    } else {
      String words = parameter("wte.weight", at.normal(1, method.length(), hidden));
      String h = layer("control_trans.0.", scope, words, hidden, method.bottleneck());
      h = Nonlinearity.add(at, scope, h, method.nonLinearity());
      flat = MadeVectors.noted(at, layer("control_trans.2.", scope, h, method.bottleneck(), all));
    }
    long[] split = {method.length(), 2L * layers, heads.heads(), heads.width()};
    return at.transposed(scope, at.reshaped(scope, flat, split), 1, 2, 0, 3);
  }

  private String layer(String name, String scope, String x, int in, int out) {
    double bound = 1 / Math.sqrt(in);
    String weight = parameter(name + "weight", at.uniform(bound, out, in));
    String bias = parameter(name + "bias", at.uniform(bound, out));
    return at.linear(scope, x, weight, bias);
  }

  /** A tensor of the pool, which files hold once for the model and once for each layer. */
  private String parameter(String name, Tensor start) {
    String key = at.parameter(at.names().model(), "prefix_tuning." + pool + name, start);
    for (TransformerLayer layer : at.layers()) {
      at.alias(key, module(layer), "pool." + pool + name);
    }
    return key;
  }

  /** [1, heads, length, width] of all; where numbers are dropped, one for each row of the batch. */
  private String one(String scope, String states, int number) {
    String part = at.slice(scope, states, 0, number, number + 1L);
    if (method.dropout() == 0) {
      return part;
    }
    return at.dropout(
        scope, at.forEachRow(scope, part, at.embeddings(), 1, 1, 1), method.dropout());
  }

  /** [batch, 1, gates] of what the attention reads. */
  private String gate(TransformerLayer layer, String module, int gates) {
    String prefix = "prefix_gates." + at.adapter() + ".";
    int hidden = at.hiddenSize();
    String weight = at.parameter(module, prefix + "weight", at.normal(DEVIATION, gates, hidden));
    String bias = at.parameter(module, prefix + "bias", at.uniform(1 / Math.sqrt(hidden), gates));
    var query = layer.attention().query();
    String x = at.wide(module, at.input(query), query.dtype());
    return at.gate(module + ".gate", x, weight, bias);
  }

  /** One gate as [batch, 1, 1, 1]. */
  private String single(String scope, String gates, int number) {
    String gate = at.slice(scope, gates, 2, number, number + 1L);
    return at.node(scope, "Unsqueeze", gate, at.constant(scope + ".axis", Tensor.vector(3)));
  }
}
