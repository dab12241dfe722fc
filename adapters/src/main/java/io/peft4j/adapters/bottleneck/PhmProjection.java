package io.peft4j.adapters.bottleneck;

import io.peft4j.adapters.compose.Attachment;
import io.peft4j.graph.Tensor;
import java.util.HashMap;
import java.util.Map;

/** y = x Σᵢ Aᵢ ⊗ Wᵢ + b; what layers share is added once. */
final class PhmProjection implements Projection {
  private static final double OWN_RULE_DEVIATION = 0.01;

  private final Phm phm;
  private final String root;
  private final Map<String, String> shared = new HashMap<>();

  /**
   * @param root path of the model, which shared tensors belong to
   */
  PhmProjection(Phm phm, String root) {
    this.phm = phm;
    this.root = root;
  }

  @Override
  public String add(
      Attachment at, String module, String prefix, boolean down, String x, int in, int out) {
    phm.requireDivides(in);
    phm.requireDivides(out);
    String scope = LinearProjection.scope(module, prefix);
    String rule = rule(at, module, prefix);
    String weights = weights(at, module, prefix, down, in, out);
    String y = at.node(scope, "MatMul", x, kronecker(at, scope, rule, weights, in, out));
    if (!phm.bias()) {
      return y;
    }
    Tensor zeros = Attachment.filled(0, out);
    return at.node(scope, "Add", y, at.parameter(module, prefix + "b", zeros));
  }

  /** Σᵢ Aᵢ ⊗ Wᵢ [in, out] of A [n, n, n] and W [n, in / n, out / n]. */
  private String kronecker(
      Attachment at, String scope, String rule, String weights, int in, int out) {
    int n = phm.dimension();
    int rows = in / n;
    int columns = out / n;
    String left = at.reshaped(scope, rule, n, (long) n * n);
    left = at.transposed(scope, left, 1, 0);
    String right = at.reshaped(scope, weights, n, (long) rows * columns);
    String sum = at.node(scope, "MatMul", left, right);
    sum = at.reshaped(scope, sum, n, n, rows, columns);
    sum = at.transposed(scope, sum, 0, 2, 1, 3);
    return at.reshaped(scope, sum, in, out);
  }

  private String rule(Attachment at, String module, String prefix) {
    int n = phm.dimension();
    String owner = phm.sharedRule() ? root : module;
    String name = phm.sharedRule() ? "shared_parameters." + at.adapter() + "." : prefix;
    if (phm.factorizedRule()) {
      String left = tensor(at, owner, name + "phm_rule_left", phm.learnRule(), this::rule, n, n, 1);
      String right =
          tensor(at, owner, name + "phm_rule_right", phm.learnRule(), this::rule, n, 1, n);
      return at.node(LinearProjection.scope(owner, name), "MatMul", left, right);
    }
    return tensor(at, owner, name + "phm_rule", phm.learnRule(), this::rule, n, n, n);
  }

  private String weights(
      Attachment at, String module, String prefix, boolean down, int in, int out) {
    int n = phm.dimension();
    String owner = phm.sharedWeights() ? root : module;
    String name =
        phm.sharedWeights()
            ? "shared_parameters." + at.adapter() + (down ? ".W_down" : ".W_up")
            : prefix + "W";
    if (!phm.factorizedWeights()) {
      return tensor(at, owner, name, true, this::weight, n, in / n, out / n);
    }
    String left = tensor(at, owner, name + "_left", true, this::weight, n, in / n, phm.rank());
    String right = tensor(at, owner, name + "_right", true, this::weight, n, phm.rank(), out / n);
    return at.node(owner + "." + name, "MatMul", left, right);
  }

  private interface Drawing {
    Tensor draw(Attachment at, boolean isShared, long... shape);
  }

  /** A tensor of its own, or the one that all layers share. */
  private String tensor(
      Attachment at, String owner, String name, boolean trains, Drawing start, long... shape) {
    String key = owner + "." + name;
    String known = shared.get(key);
    if (known != null) {
      return known;
    }
    Tensor first = start.draw(at, owner.equals(root), shape);
    String added = trains ? at.parameter(owner, name, first) : at.stored(owner, name, first);
    shared.put(key, added);
    return added;
  }

  private Tensor rule(Attachment at, boolean isShared, long... shape) {
    if (phm.ruleStart().equals("uniform")) {
      return at.uniform(isShared ? 1 : OWN_RULE_DEVIATION, shape);
    }
    return at.normal(isShared ? phm.ruleRange() : OWN_RULE_DEVIATION, shape);
  }

  private Tensor weight(Attachment at, boolean isShared, long... shape) {
    double fans = shape[1] + shape[2];
    return switch (phm.weightStart()) {
      case "glorot-uniform" -> at.uniform(Math.sqrt(6 / fans), shape);
      case "normal" -> at.normal(phm.ruleRange(), shape);
      default -> at.normal(Math.sqrt(2 / fans), shape);
    };
  }
}
