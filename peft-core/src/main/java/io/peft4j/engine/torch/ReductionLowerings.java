package io.peft4j.engine.torch;

import com.google.common.collect.ImmutableMap;
import io.peft4j.graph.DType;
import io.peft4j.graph.passes.TensorShapes;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** Operators that put the elements along axes together. */
final class ReductionLowerings {
  static final ImmutableMap<String, Lowering> TABLE =
      ImmutableMap.<String, Lowering>builder()
          .put("ReduceMean", c -> reduce(c, "torch.mean(%s, %s, %s)"))
          .put("ReduceSum", c -> reduce(c, "torch.sum(%s, %s, %s)"))
          .put("ReduceMax", c -> reduce(c, "torch.amax(%s, %s, %s)"))
          .put("ReduceMin", c -> reduce(c, "torch.amin(%s, %s, %s)"))
          .put("ReduceL2", c -> reduce(c, "torch.sqrt(torch.sum(torch.pow(%s, 2), %s, %s))"))
          .put("ReduceSumSquare", c -> reduce(c, "torch.sum(torch.pow(%s, 2), %s, %s)"))
          .put("ArgMax", c -> arg(c, "torch.argmax"))
          .put("ArgMin", c -> arg(c, "torch.argmin"))
          .put("TopK", ReductionLowerings::topK)
          .put("CumSum", ReductionLowerings::cumulate)
          .put("Softmax", c -> soft(c, "torch.softmax"))
          .put("LogSoftmax", c -> soft(c, "torch.log_softmax"))
          .build();

  private ReductionLowerings() {}

  private static void topK(LoweringContext c) {
    Operand x = c.in(0);
    int axis = c.axis("axis", -1, x.rank());
    IntExpr count = c.ints(1).get(0);
    String both =
        c.assign(
            "torch.topk(%s, %s, %d, %s, %s)"
                .formatted(
                    c.tensor(x),
                    count,
                    axis,
                    c.node.intAttribute("largest", 1) == 1 ? "True" : "False",
                    c.node.intAttribute("sorted", 1) == 1 ? "True" : "False"));
    List<IntExpr> shape = new ArrayList<>(x.shape());
    shape.set(axis, count);
    c.set(0, Operand.variable(x.dtype(), shape, c.assign(both + "[0]")));
    c.set(1, Operand.variable(DType.INT64, shape, c.assign(both + "[1]")));
  }

  private static void reduce(LoweringContext c, String pattern) {
    Operand x = c.in(0);
    long[] axes = c.knownInts(1);
    if ((axes == null || axes.length == 0) && c.node.intAttribute("noop_with_empty_axes", 0) == 1) {
      c.set(0, x);
      return;
    }
    TreeSet<Integer> places = new TreeSet<>();
    if (axes != null) {
      for (long axis : axes) {
        places.add(TensorShapes.axis(axis, x.rank()));
      }
    }
    if (places.isEmpty()) {
      for (int i = 0; i < x.rank(); i++) {
        places.add(i);
      }
    }
    boolean keep = c.node.intAttribute("keepdims", 1) == 1;
    c.result(
        x.dtype(),
        reduced(x, places, keep),
        pattern.formatted(c.tensor(x), new ArrayList<>(places), keep ? "True" : "False"));
  }

  private static List<IntExpr> reduced(Operand x, Set<Integer> places, boolean keep) {
    List<IntExpr> shape = new ArrayList<>();
    for (int i = 0; i < x.rank(); i++) {
      if (!places.contains(i)) {
        shape.add(x.dim(i));
      } else if (keep) {
        shape.add(IntExpr.of(1));
      }
    }
    return shape;
  }

  private static void arg(LoweringContext c, String function) {
    Operand x = c.in(0);
    int axis = c.axis("axis", 0, x.rank());
    boolean keep = c.node.intAttribute("keepdims", 1) == 1;
    if (c.node.intAttribute("select_last_index", 0) != 0) {
      throw c.unsupported("select_last_index");
    }
    c.result(
        DType.INT64,
        reduced(x, Set.of(axis), keep),
        function + "(" + c.tensor(x) + ", " + axis + ", " + (keep ? "True" : "False") + ")");
  }

  private static void cumulate(LoweringContext c) {
    Operand x = c.in(0);
    long[] axis = c.knownInts(1);
    boolean plain =
        c.node.intAttribute("exclusive", 0) == 0 && c.node.intAttribute("reverse", 0) == 0;
    if (axis == null || !plain) {
      throw c.unsupported("exclusive or reverse sums");
    }
    int place = TensorShapes.axis(axis[0], x.rank());
    String summed = "torch.cumsum(" + c.tensor(x) + ", " + place + ")";
    c.result(
        x.dtype(), x.shape(), "torch.to(" + summed + ", " + ScriptWriter.code(x.dtype()) + ")");
  }

  private static void soft(LoweringContext c, String function) {
    Operand x = c.in(0);
    int axis = c.axis("axis", -1, x.rank());
    c.result(x.dtype(), x.shape(), function + "(" + c.tensor(x) + ", " + axis + ")");
  }
}
