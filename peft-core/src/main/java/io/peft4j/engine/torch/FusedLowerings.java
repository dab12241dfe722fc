package io.peft4j.engine.torch;

import com.google.common.collect.ImmutableMap;
import java.util.ArrayList;
import java.util.List;

/** The operators that the fusing passes put in place of several ONNX ones. */
final class FusedLowerings {
  static final ImmutableMap<String, Lowering> TABLE =
      ImmutableMap.<String, Lowering>builder()
          .put("Linear", FusedLowerings::linear)
          .put("Silu", FusedLowerings::silu)
          .put("ScaledAdd", FusedLowerings::scaledAdd)
          .put("MulAdd", FusedLowerings::mulAdd)
          .put("Attention", FusedLowerings::attention)
          .build();

  private FusedLowerings() {}

  /** x W^T + b, with W as [out, in], or as [in, out] where the attribute says so. */
  private static void linear(LoweringContext c) {
    Operand x = c.in(0);
    Operand weight = c.in(1);
    boolean inFirst = c.node.intAttribute("inFirst", 0) == 1;
    List<IntExpr> shape = new ArrayList<>(x.shape());
    shape.set(shape.size() - 1, weight.dim(inFirst ? 1 : 0));
    c.result(
        x.dtype(),
        shape,
        "torch.linear(%s, %s, %s)"
            .formatted(
                c.tensor(x),
                inFirst ? "torch.t(" + c.tensor(weight) + ")" : c.tensor(weight),
                c.has(2) ? c.tensor(2) : "None"));
  }

  /** x · sigmoid(x). */
  private static void silu(LoweringContext c) {
    Operand x = c.in(0);
    c.result(x.dtype(), x.shape(), "torch.silu(" + c.tensor(x) + ")");
  }

  /** y + alpha z. */
  private static void scaledAdd(LoweringContext c) {
    String variable =
        c.assign(
            "torch.add(%s, %s, alpha=%s)"
                .formatted(
                    c.tensor(0),
                    c.tensor(1),
                    ScriptWriter.number(c.node.floatAttribute("alpha", 1f))));
    c.set(
        0,
        Operand.variable(
            c.in(0).dtype(), c.broadcast(List.of(c.in(0), c.in(1)), variable), variable));
  }

  /** x y + z, of floating point. */
  private static void mulAdd(LoweringContext c) {
    String variable =
        c.assign("torch.addcmul(%s, %s, %s)".formatted(c.tensor(2), c.tensor(0), c.tensor(1)));
    List<Operand> all = List.of(c.in(0), c.in(1), c.in(2));
    c.set(0, Operand.variable(c.in(0).dtype(), c.broadcast(all, variable), variable));
  }

  /**
   * softmax(scale q kT + mask) v with optional dropout of the probabilities; q [B, heads, T, d], kT
   * [B, heads, d, S], v [B, heads, S, e]. Torch's fused kernel serves evaluation; in training the
   * plain form is faster on CPU.
   */
  private static void attention(LoweringContext c) {
    Operand q = c.in(0);
    Operand kT = c.in(1);
    Operand v = c.in(2);
    double scale = c.node.floatAttribute("scale", 1f);
    double dropout = c.node.floatAttribute("dropout", 0f);
    boolean fused =
        !c.options.training() && q.rank() == 4 && kT.rank() == 4 && v.rank() == 4 && maskFits(c, q);
    if (fused) {
      String context =
          c.assign(
              "torch.scaled_dot_product_attention(%s, torch.transpose(%s, 2, 3), %s, %s, 0., False,"
                      .formatted(
                          c.tensor(q), c.tensor(kT), c.tensor(v), c.has(3) ? c.tensor(3) : "None")
                  + " scale="
                  + ScriptWriter.number(scale)
                  + ")");
      List<IntExpr> shape = new ArrayList<>(q.shape());
      shape.set(3, v.dim(3));
      c.set(0, Operand.variable(q.dtype(), shape, context));
      return;
    }
    String query =
        scale == 1
            ? c.tensor(q)
            : "torch.mul(" + c.tensor(q) + ", " + ScriptWriter.number(scale) + ")";
    String scores = c.assign("torch.matmul(" + query + ", " + c.tensor(kT) + ")");
    List<IntExpr> shape = LayerLowerings.productShape(c, q, kT, scores);
    if (c.has(3)) {
      scores = c.assign("torch.add(" + scores + ", " + c.tensor(3) + ")");
    }
    String weights = c.assign("torch.softmax(" + scores + ", -1)");
    Operand probabilities = Operand.variable(q.dtype(), shape, weights);
    if (c.options.training() && dropout > 0) {
      probabilities = LayerLowerings.dropped(c, probabilities, dropout);
    }
    String context = c.assign("torch.matmul(" + c.tensor(probabilities) + ", " + c.tensor(v) + ")");
    c.set(
        0,
        Operand.variable(
            q.dtype(), LayerLowerings.productShape(c, probabilities, v, context), context));
  }

  /** The fused kernel takes a mask of four axes and the type of the queries. */
  private static boolean maskFits(LoweringContext c, Operand q) {
    return !c.has(3) || (c.in(3).rank() == 4 && c.in(3).dtype() == q.dtype());
  }
}
