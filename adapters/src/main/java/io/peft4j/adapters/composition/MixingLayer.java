package io.peft4j.adapters.composition;

import io.peft4j.adapters.compose.Attachment;
import io.peft4j.adapters.compose.TransformerLayer;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** The attention over adapters in one place. */
final class MixingLayer {
  private static final String FUSION = "adapter_fusion_layer.";
  private static final String VALUE = "value";
  private static final double DEVIATION = 0.02;
  private static final float OFF_DIAGONAL = 1e-6f;

  private final Mixing mixing;
  private final Attachment at;
  private final String module;
  private final String prefix;
  private final int hidden;

  MixingLayer(Mixing mixing, Attachment at, String module, String names) {
    this.mixing = mixing;
    this.at = at;
    this.module = module;
    prefix = FUSION + names + ".";
    hidden = at.hiddenSize();
  }

  /** Whether a parameter is the weight of a value layer. */
  static boolean isValue(String parameter) {
    return parameter.startsWith(FUSION) && parameter.endsWith("." + VALUE + ".weight");
  }

  /**
   * Mixes.
   *
   * @param query [batch, sequence, hidden]
   * @param outputs of the adapters, each [batch, sequence, hidden]
   * @param residual [batch, sequence, hidden]
   */
  String add(String query, List<String> outputs, String residual, TransformerLayer layer) {
    String scope = module + "." + prefix + "attention";
    String q = mixing.query() ? new Layer("query", true).add(query) : query;
    Layer key = mixing.key() ? new Layer("key", true) : null;
    List<String> scores = new ArrayList<>();
    for (String output : outputs) {
      String k = key == null ? output : key.add(output);
      String product = at.node(scope, "Mul", q, k);
      scores.add(at.sum(scope, product, -1));
    }
    String joined = at.joined(scope, -1, scores.toArray(String[]::new));
    double dropout = mixing.dropout() < 0 ? at.attentionDropout(layer) : mixing.dropout();
    String shares =
        at.node(
            scope,
            "Softmax",
            Map.of("axis", Attribute.of(-1L)),
            at.dropout(scope + ".dropout", joined, dropout));
    String sum = sum(scope, shares, outputs, residual);
    return mixing.residualBefore() ? sum : at.node(scope, "Add", sum, residual);
  }

  private String sum(String scope, String shares, List<String> outputs, String residual) {
    Layer value = mixing.value() ? new Layer(VALUE, false) : null;
    String sum = null;
    for (int i = 0; i < outputs.size(); i++) {
      String v = outputs.get(i);
      if (mixing.residualBefore()) {
        v = at.node(scope, "Add", v, residual);
      }
      if (value != null && mixing.valueBeforeSoftmax()) {
        v = value.add(v);
      }
      String share = at.slice(scope, shares, -1, i, i + 1L);
      String part = at.node(scope, "Mul", v, share);
      sum = sum == null ? part : at.node(scope, "Add", sum, part);
    }
    if (sum == null) {
      throw new IllegalStateException("a fusion of no adapters");
    }
    return value != null && !mixing.valueBeforeSoftmax() ? value.add(sum) : sum;
  }

  /** One linear layer, used for each adapter. */
  private final class Layer {
    private final String scope;
    private final String weight;
    private final String bias;

    Layer(String name, boolean hasBias) {
      scope = module + "." + prefix + name;
      weight = at.parameter(module, prefix + name + ".weight", start(name));
      bias =
          hasBias
              ? at.parameter(module, prefix + name + ".bias", Attachment.filled(0, hidden))
              : "";
    }

    private Tensor start(String name) {
      if (!name.equals(VALUE) || !mixing.identityValue()) {
        return at.normal(DEVIATION, hidden, hidden);
      }
      float[] values = new float[hidden * hidden];
      Arrays.fill(values, OFF_DIAGONAL);
      for (int i = 0; i < hidden; i++) {
        values[i * hidden + i] = 1;
      }
      return Tensor.ofFloats(new long[] {hidden, hidden}, values);
    }

    String add(String x) {
      return at.linear(scope, x, weight, bias.isEmpty() ? null : bias);
    }
  }
}
