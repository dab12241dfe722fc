package io.peft4j.engine.torch;

import com.google.common.collect.ImmutableMap;
import io.peft4j.graph.passes.TensorShapes;
import java.util.ArrayList;
import java.util.List;

/** Operators that pick elements by position. */
final class IndexLowerings {
  static final ImmutableMap<String, Lowering> TABLE =
      ImmutableMap.<String, Lowering>builder()
          .put("Gather", IndexLowerings::gather)
          .put("GatherElements", IndexLowerings::gatherElements)
          .put("Slice", IndexLowerings::slice)
          .put("ScatterND", IndexLowerings::scatter)
          .build();

  private IndexLowerings() {}

  private static void gather(LoweringContext c) {
    Operand x = c.in(0);
    Operand index = c.in(1);
    int axis = c.axis("axis", 0, x.rank());
    if (x.ints() != null && x.rank() == 1 && index.constant() != null && index.rank() <= 1) {
      List<IntExpr> chosen = new ArrayList<>();
      for (long position : index.constant().toLongs()) {
        chosen.add(x.ints().get(TensorShapes.axis(position, x.ints().size())));
      }
      c.set(0, Operand.ints(x.dtype(), chosen, index.rank() == 0));
      return;
    }
    List<IntExpr> shape = new ArrayList<>(x.shape().subList(0, axis));
    shape.addAll(index.shape());
    shape.addAll(x.shape().subList(axis + 1, x.rank()));
    if (index.rank() == 0 && index.ints() != null) {
      String position = index.ints().get(0).code();
      c.result(
          x.dtype(), shape, "torch.select(" + c.tensor(x) + ", " + axis + ", " + position + ")");
    } else if (axis == 0 && x.rank() == 2 && x.dtype().isFloat() && index.rank() > 0) {
      c.result(x.dtype(), shape, "torch.embedding(" + c.tensor(x) + ", " + c.tensor(index) + ")");
    } else {
      String positions = "None, ".repeat(axis) + c.tensor(index);
      c.result(x.dtype(), shape, "torch.index(" + c.tensor(x) + ", " + indices(positions) + ")");
    }
  }

  private static String indices(String list) {
    return "annotate(List[Optional[Tensor]], [" + list + "])";
  }

  private static void gatherElements(LoweringContext c) {
    Operand x = c.in(0);
    Operand index = c.in(1);
    int axis = c.axis("axis", 0, x.rank());
    String positions = c.tensor(index);
    String wrapped =
        c.assign(
            "torch.where(torch.lt(%s, 0), torch.add(%s, %s), %s)"
                .formatted(positions, positions, x.dim(axis), positions));
    c.result(
        x.dtype(),
        index.shape(),
        "torch.gather(" + c.tensor(x) + ", " + axis + ", " + wrapped + ")");
  }

  private static void slice(LoweringContext c) {
    Operand x = c.in(0);
    List<IntExpr> starts = c.ints(1);
    List<IntExpr> ends = c.ints(2);
    long[] axes = c.knownInts(3);
    long[] steps = c.knownInts(4);
    if (x.ints() != null && x.rank() == 1) {
      sliceInts(c, x, starts.get(0), ends.get(0), steps == null ? 1 : steps[0]);
      return;
    }
    List<IntExpr> shape = new ArrayList<>(x.shape());
    String variable = c.tensor(x);
    for (int i = 0; i < starts.size(); i++) {
      int axis = TensorShapes.axis(axes == null ? i : axes[i], x.rank());
      long step = steps == null ? 1 : steps[i];
      if (step < 1) {
        throw c.unsupported("a step of " + step);
      }
      variable =
          c.assign(
              "torch.slice(%s, %d, %s, %s, %d)"
                  .formatted(variable, axis, starts.get(i), ends.get(i), step));
      shape.set(axis, sliced(shape.get(axis), starts.get(i), ends.get(i), step, variable, axis));
    }
    c.set(0, Operand.variable(x.dtype(), shape, variable));
  }

  private static IntExpr sliced(
      IntExpr size, IntExpr start, IntExpr end, long step, String variable, int axis) {
    if (size.known() != null && start.known() != null && end.known() != null) {
      long from = clamp(start.known(), size.known());
      long length = Math.max(0, clamp(end.known(), size.known()) - from);
      return IntExpr.of((length + step - 1) / step);
    }
    boolean wholeRest = end.known() != null && end.known() >= Integer.MAX_VALUE;
    if (start.is(0) && step == 1 && (wholeRest || end.same(size))) {
      return size;
    }
    return LoweringContext.size(variable, axis);
  }

  private static long clamp(long position, long size) {
    return Math.max(0, Math.min(size, position < 0 ? position + size : position));
  }

  private static void sliceInts(
      LoweringContext c, Operand x, IntExpr start, IntExpr end, long step) {
    List<IntExpr> all = x.ints();
    if (all == null || start.known() == null || end.known() == null || step != 1) {
      throw c.unsupported("bounds that a run decides, on a vector of shape arithmetic");
    }
    int from = (int) clamp(start.known(), all.size());
    int to = (int) Math.max(from, clamp(end.known(), all.size()));
    c.set(0, Operand.ints(x.dtype(), all.subList(from, to), false));
  }

  private static void scatter(LoweringContext c) {
    Operand x = c.in(0);
    Operand index = c.in(1);
    Long depth = index.dim(-1).known();
    if (depth == null || !c.node.stringAttribute("reduction", "none").equals("none")) {
      throw c.unsupported("a reduction, or indices whose depth a run decides");
    }
    List<String> parts = new ArrayList<>();
    for (int i = 0; i < depth; i++) {
      parts.add(c.assign("torch.select(" + c.tensor(index) + ", -1, " + i + ")"));
    }
    c.result(
        x.dtype(),
        x.shape(),
        "torch.index_put(%s, %s, %s, False)"
            .formatted(c.tensor(x), indices(String.join(", ", parts)), c.tensor(2)));
  }
}
