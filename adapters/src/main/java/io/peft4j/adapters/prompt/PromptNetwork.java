package io.peft4j.adapters.prompt;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.Tensor;

/**
 * A network that makes the vectors of a prompt out of trained ones. All its tensors start as torch
 * starts them.
 */
final class PromptNetwork {
  static final String SCOPE = "prompt_encoder";

  private final Attachment at;
  private final int tokens;
  private final int size;

  /**
   * @param tokens how many vectors
   * @param size of those that go in
   */
  PromptNetwork(Attachment at, int tokens, int size) {
    this.at = at;
    this.tokens = tokens;
    this.size = size;
  }

  /** Linear, ReLU, Linear, ReLU, Linear: P-tuning's, [tokens, size]. */
  String mlp(int hidden) {
    String x = linear("mlp_head.0", embedding(), size, hidden);
    x = linear("mlp_head.2", at.node(SCOPE, "Relu", x), hidden, hidden);
    return MadeVectors.noted(at, linear("mlp_head.4", at.node(SCOPE, "Relu", x), hidden, size));
  }

  /** A bidirectional LSTM, Linear, ReLU, Linear: P-tuning's, [tokens, size]. */
  String lstm(int hidden, int layers, double dropout) {
    String x = embedding();
    for (int i = 0; i < layers; i++) {
      int in = i == 0 ? size : 2 * hidden;
      x = at.dropout(SCOPE, x, i == 0 ? 0 : dropout);
      x = new LstmLayer(at, this, "lstm_head." + i + ".", tokens).add(x, in, hidden);
    }
    x = at.node(SCOPE, "Relu", linear("mlp_head.0", x, 2 * hidden, 2 * hidden));
    return MadeVectors.noted(at, linear("mlp_head.2", x, 2 * hidden, size));
  }

  /** Linear, Tanh, Linear: prefix tuning's, [tokens, out]. */
  String projection(int hidden, int out) {
    String x = at.node(SCOPE, "Tanh", linear("transform.0", embedding(), size, hidden));
    return MadeVectors.noted(at, linear("transform.2", x, hidden, out));
  }

  private String embedding() {
    return parameter("embedding.weight", at.normal(1, tokens, size));
  }

  private String linear(String name, String x, int in, int out) {
    double bound = 1 / Math.sqrt(in);
    String weight = parameter(name + ".weight", at.uniform(bound, out, in));
    String bias = parameter(name + ".bias", at.uniform(bound, out));
    return at.linear(SCOPE, x, weight, bias);
  }

  /** A tensor that trains and stands in no file. */
  String parameter(String name, Tensor start) {
    String key = at.editor().constant(SCOPE + "." + at.adapter() + "." + name, start);
    at.editor().train(key);
    at.add(new AdapterTensor(key, "", SCOPE + "." + name, false, AdapterTensor.Owner.ADAPTER));
    return key;
  }
}
