package io.peft4j.engine.torch;

import com.google.common.collect.ImmutableMap;
import io.peft4j.graph.DType;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.List;

/** Products, normalisation, dropout and losses. */
final class LayerLowerings {
  static final ImmutableMap<String, Lowering> TABLE =
      ImmutableMap.<String, Lowering>builder()
          .put("MatMul", LayerLowerings::matMul)
          .put("Gemm", LayerLowerings::gemm)
          .put("LayerNormalization", LayerLowerings::layerNorm)
          .put("RandomNormalLike", LayerLowerings::noise)
          .put("Dropout", LayerLowerings::dropout)
          .put("SoftmaxCrossEntropyLoss", LayerLowerings::crossEntropy)
          .build();

  private LayerLowerings() {}

  private static void noise(LoweringContext c) {
    boolean marked = c.node.metadata().containsKey(Node.TRAINING_ONLY);
    boolean plain =
        c.node.floatAttribute("mean", 0f) == 0 && c.node.floatAttribute("scale", 1f) == 1;
    if (!marked || !plain) {
      throw c.unsupported("random numbers outside training");
    }
    String function = c.options.training() ? "torch.randn_like" : "torch.zeros_like";
    c.result(c.in(0).dtype(), c.in(0).shape(), "%s(%s)".formatted(function, c.tensor(0)));
  }

  /** The inverse of each matrix. */
  static void inverse(LoweringContext c) {
    c.result(c.in(0).dtype(), c.in(0).shape(), "torch.linalg_inv(%s)".formatted(c.tensor(0)));
  }

  private static void matMul(LoweringContext c) {
    Operand a = c.in(0);
    Operand b = c.in(1);
    String variable = c.assign("torch.matmul(" + c.tensor(a) + ", " + c.tensor(b) + ")");
    c.set(0, Operand.variable(a.dtype(), productShape(c, a, b, variable), variable));
  }

  static List<IntExpr> productShape(LoweringContext c, Operand a, Operand b, String variable) {
    if (a.rank() < 2 || b.rank() < 2) {
      int rank =
          Math.max(
              0, Math.max(a.rank(), b.rank()) - (a.rank() == 1 ? 1 : 0) - (b.rank() == 1 ? 1 : 0));
      return LoweringContext.sizes(variable, a.rank() == 1 && b.rank() == 1 ? 0 : rank);
    }
    List<Operand> batches = List.of(leading(a), leading(b));
    List<IntExpr> shape = new ArrayList<>(c.broadcast(batches, variable));
    shape.add(a.dim(-2));
    shape.add(b.dim(-1));
    return shape;
  }

  private static Operand leading(Operand x) {
    return Operand.variable(x.dtype(), x.shape().subList(0, x.rank() - 2), "");
  }

  private static void gemm(LoweringContext c) {
    Operand a = c.in(0);
    Operand b = c.in(1);
    boolean transA = c.node.intAttribute("transA", 0) == 1;
    boolean transB = c.node.intAttribute("transB", 0) == 1;
    float alpha = c.node.floatAttribute("alpha", 1f);
    float beta = c.node.floatAttribute("beta", 1f);
    String x = transA ? "torch.t(" + c.tensor(a) + ")" : c.tensor(a);
    List<IntExpr> shape = List.of(a.dim(transA ? 1 : 0), b.dim(transB ? 0 : 1));
    if (alpha == 1f && beta == 1f && (!c.has(2) || c.in(2).rank() == 1)) {
      String weight = transB ? c.tensor(b) : "torch.t(" + c.tensor(b) + ")";
      String bias = c.has(2) ? ", " + c.tensor(2) : "";
      c.result(a.dtype(), shape, "torch.linear(" + x + ", " + weight + bias + ")");
      return;
    }
    String weight = transB ? "torch.t(" + c.tensor(b) + ")" : c.tensor(b);
    if (c.has(2)) {
      c.result(
          a.dtype(),
          shape,
          "torch.addmm(%s, %s, %s, beta=%s, alpha=%s)"
              .formatted(
                  c.tensor(2), x, weight, ScriptWriter.number(beta), ScriptWriter.number(alpha)));
    } else {
      c.result(
          a.dtype(),
          shape,
          "torch.mul(torch.mm(" + x + ", " + weight + "), " + ScriptWriter.number(alpha) + ")");
    }
  }

  private static void layerNorm(LoweringContext c) {
    Operand x = c.in(0);
    int axis = c.axis("axis", -1, x.rank());
    Operand scale = c.in(1);
    boolean plain = scale.rank() == x.rank() - axis && c.node.outputs().size() == 1;
    if (!plain) {
      throw c.unsupported("a scale of another rank than the normalised axes, or several outputs");
    }
    String eps = ScriptWriter.number(c.node.floatAttribute("epsilon", 1e-5f));
    c.result(
        x.dtype(),
        x.shape(),
        "torch.layer_norm(%s, %s, %s, %s, %s)"
            .formatted(
                c.tensor(x),
                IntExpr.list(x.shape().subList(axis, x.rank())),
                c.tensor(scale),
                c.has(2) ? c.tensor(2) : "None",
                eps));
  }

  private static void dropout(LoweringContext c) {
    Operand x = c.in(0);
    Tensor ratio = c.has(1) ? c.constant(1, "the ratio") : Tensor.scalar(0.5f);
    if (c.node.outputs().size() > 1 && !c.node.outputs().get(1).isEmpty()) {
      throw c.unsupported("the mask as an output");
    }
    c.set(0, c.options.training() ? dropped(c, x, ratio.item()) : x);
  }

  /**
   * Sets elements to zero with probability {@code ratio} and divides the rest by 1 - ratio. Only
   * the gaps between dropped elements are drawn: they are geometric, floor(log(1 - u) / log(1 -
   * ratio)) kept elements for u uniform in [0, 1) (Devroye, Non-Uniform Random Variate Generation,
   * 1986, X.2).
   */
  static Operand dropped(LoweringContext c, Operand x, double ratio) {
    if (ratio <= 0) {
      return x;
    }
    if (!(ratio < 1)) {
      throw c.unsupported("a dropout ratio of " + ratio + "; it must be below 1");
    }
    String input = c.tensor(x);
    String count = c.assign("torch.numel(" + input + ")");
    String flat = "torch.mul(torch.flatten(" + input + "), " + ScriptWriter.number(1 / (1 - ratio));
    String kept =
        c.assign(
            "torch.view_as(torch.index_fill_(%s), 0, %s, 0.), %s)"
                .formatted(flat, droppedPlaces(c, count, ratio), input));
    return Operand.variable(x.dtype(), x.shape(), kept);
  }

  /** The places in [0, count) that drop, in order. */
  private static String droppedPlaces(LoweringContext c, String count, double ratio) {
    // So many draws reach the end: mean and eight standard deviations of the number of places.
    String draws =
        "int(torch.add(torch.add(torch.mul(%s, %s), torch.mul(torch.sqrt(%s), %s)), 32.))"
            .formatted(
                count,
                ScriptWriter.number(ratio),
                count,
                ScriptWriter.number(8 * Math.sqrt(ratio * (1 - ratio))));
    String logs = "torch.log1p(torch.neg(torch.rand([" + draws + "])))";
    String gaps =
        "torch.to(torch.mul(%s, %s), 4)"
            .formatted(logs, ScriptWriter.number(1 / Math.log1p(-ratio)));
    // Counted from 1.
    String places = c.assign("torch.cumsum(torch.add(" + gaps + ", 1), 0)");
    return "torch.sub(torch.slice(%s, 0, 0, int(torch.searchsorted(%s, %s, right=True))), 1)"
        .formatted(places, places, count);
  }

  private static void crossEntropy(LoweringContext c) {
    Operand scores = c.in(0);
    String reduction = c.node.stringAttribute("reduction", "mean");
    int code =
        switch (reduction) {
          case "none" -> 0;
          case "mean" -> 1;
          case "sum" -> 2;
          default -> throw c.unsupported("reduction '" + reduction + "'");
        };
    Operand labels = c.in(1);
    String weight = c.has(2) ? c.tensor(2) : "None";
    String target =
        labels.dtype() == DType.INT64 ? c.tensor(labels) : "torch.to(" + c.tensor(labels) + ", 4)";
    c.result(
        scores.dtype(),
        code == 0 ? labels.shape() : List.of(),
        "torch.cross_entropy_loss(%s, %s, %s, %d, %d, 0.)"
            .formatted(
                c.tensor(scores), target, weight, code, c.node.intAttribute("ignore_index", -100)));
  }
}
