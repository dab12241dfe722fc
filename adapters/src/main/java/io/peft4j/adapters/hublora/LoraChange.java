package io.peft4j.adapters.hublora;

import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.Tensor;
import io.peft4j.site.LinearSite;
import org.jspecify.annotations.Nullable;

/** Adds the change to one linear layer after the other. */
final class LoraChange {
  private static final double BERT_DEVIATION = 0.02;

  private final HubLora method;
  private final Attachment at;
  private @Nullable String sharedA;
  private @Nullable String sharedB;

  LoraChange(HubLora method, Attachment at) {
    this.method = method;
    this.at = at;
  }

  /** The name of a tensor of the adapter within its module. */
  static String name(String adapter, String part) {
    return "loras." + adapter + "." + part;
  }

  private String name(String part) {
    return name(at.adapter(), part);
  }

  void add(LinearSite site) {
    at.target(site.path());
    at.mark();
    String scope = site.path() + "." + name(method.change() == Change.SCALE ? "scale" : "delta");
    String x = at.wide(scope, at.input(site), site.dtype());
    String y = at.wide(scope, site.output(), site.dtype());
    String changed =
        switch (method.change()) {
          case LOW_RANK ->
              at.node(scope, "Add", y, weighed(site, scope, x, lowRank(site, scope, x)));
          case SHARED_LOW_RANK ->
              at.node(scope, "Add", y, weighed(site, scope, x, shared(site, scope, x)));
          case SCALE -> at.node(scope, "Mul", y, weighed(site, scope, x, scale(site)));
        };
    at.rewire(site.output(), at.narrow(scope, changed, site.dtype()));
  }

  /** Times the gate, or times the scale where there is none. */
  private String weighed(LinearSite site, String scope, String x, String delta) {
    if (!method.gating()) {
      return method.scale() == 1
          ? delta
          : at.node(scope, "Mul", delta, at.number(scope + ".scaling", method.scale()));
    }
    int in = Math.toIntExact(site.inFeatures());
    String weight =
        at.parameter(site.path(), name("gate.weight"), at.normal(BERT_DEVIATION, 1, in));
    String bias =
        at.parameter(
            site.path(), name("gate.bias"), at.uniform(1 / Math.sqrt(in), 1)); // as torch starts it
    return at.node(scope, "Mul", delta, at.gate(scope + ".gate", x, weight, bias));
  }

  private String lowRank(LinearSite site, String scope, String x) {
    String a = at.parameter(site.path(), name("lora_A"), startA(site.inFeatures()));
    String b = at.parameter(site.path(), name("lora_B"), startB(site.outFeatures()));
    String dropped = at.dropout(scope + ".lora_dropout", x, method.dropout());
    return at.linear(scope, at.linear(scope, dropped, a, null), b, null);
  }

  private String shared(LinearSite site, String scope, String x) {
    int out = Math.toIntExact(site.outFeatures());
    String module = at.names().model();
    String shared = "shared_parameters." + at.adapter() + ".";
    if (sharedA == null || sharedB == null) {
      long in = site.inFeatures();
      sharedA =
          at.stored(module, shared + "lora_A", at.uniform(Math.sqrt(3.0 / in), method.rank(), in));
      sharedB =
          at.stored(
              module,
              shared + "lora_B",
              at.uniform(Math.sqrt(3.0 / method.rank()), out, method.rank()));
    }
    String d =
        at.parameter(site.path(), name("vera_D"), diagonal(method.diagonalD(), method.rank()));
    String b = at.parameter(site.path(), name("vera_B"), diagonal(method.diagonalB(), out));
    String h = at.dropout(scope + ".lora_dropout", x, method.dropout());
    for (String matrix : new String[] {sharedA, d, sharedB, b}) {
      h = at.linear(scope, h, matrix, null);
    }
    return h;
  }

  /** l [out, 1] as a row. */
  private String scale(LinearSite site) {
    String stored = at.parameter(site.path(), name("lora_B"), startB(site.outFeatures()));
    return at.reshaped(site.path() + "." + name("scale"), stored, site.outFeatures());
  }

  private Tensor startA(long in) {
    return switch (method.start()) {
      case "bert" -> at.normal(BERT_DEVIATION, method.rank(), in);
      case "ia3" -> Attachment.filled(1, method.rank(), in);
      default -> at.uniform(1 / Math.sqrt((double) in), method.rank(), in);
    };
  }

  private Tensor startB(long out) {
    return switch (method.start()) {
      case "bert" -> at.normal(BERT_DEVIATION, out, method.rank());
      case "ia3" -> Attachment.filled(1, out, method.rank());
      default -> Attachment.filled(0, out, method.rank());
    };
  }

  private static Tensor diagonal(double value, int size) {
    float[] values = new float[size * size];
    for (int i = 0; i < size; i++) {
      values[i * size + i] = (float) value;
    }
    return Tensor.ofFloats(new long[] {size, size}, values);
  }
}
