package io.peft4j.engine.torch;

import com.google.common.collect.ImmutableMap;
import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.passes.TensorShapes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;

/** Operators that give the same elements another shape or order, or make tensors out of shapes. */
final class LayoutLowerings {
  static final ImmutableMap<String, Lowering> TABLE =
      ImmutableMap.<String, Lowering>builder()
          .put("Identity", LayoutLowerings::identity)
          .put("Constant", LayoutLowerings::constant)
          .put("Shape", LayoutLowerings::shape)
          .put(
              "Size",
              c -> c.set(0, Operand.ints(DType.INT64, List.of(product(c.in(0).shape())), true)))
          .put("Reshape", LayoutLowerings::reshape)
          .put("Flatten", LayoutLowerings::flatten)
          .put("Transpose", LayoutLowerings::transpose)
          .put("Unsqueeze", LayoutLowerings::unsqueeze)
          .put("Squeeze", LayoutLowerings::squeeze)
          .put("Concat", LayoutLowerings::concat)
          .put("Split", LayoutLowerings::split)
          .put("Expand", LayoutLowerings::expand)
          .put("Tile", LayoutLowerings::tile)
          .put("ConstantOfShape", LayoutLowerings::constantOfShape)
          .put("Range", LayoutLowerings::range)
          .put("Trilu", LayoutLowerings::trilu)
          .build();

  private LayoutLowerings() {}

  private static void identity(LoweringContext c) {
    if (c.node.metadata().containsKey(Node.DETACHED)) {
      c.result(c.in(0).dtype(), c.in(0).shape(), "torch.detach(%s)".formatted(c.tensor(0)));
    } else {
      c.set(0, c.in(0));
    }
  }

  private static void constant(LoweringContext c) {
    throw c.unsupported("a constant of this kind");
  }

  private static void shape(LoweringContext c) {
    List<IntExpr> all = c.in(0).shape();
    int start = bound(c.node.intAttribute("start", 0), all.size());
    int end = bound(c.node.intAttribute("end", all.size()), all.size());
    c.set(0, Operand.ints(DType.INT64, all.subList(start, Math.max(start, end)), false));
  }

  private static int bound(long position, int rank) {
    return (int) Math.max(0, Math.min(rank, position < 0 ? position + rank : position));
  }

  static IntExpr product(List<IntExpr> factors) {
    return factors.stream().reduce(IntExpr.of(1), IntExpr::times);
  }

  private static void reshape(LoweringContext c) {
    Operand x = c.in(0);
    List<IntExpr> target = new ArrayList<>(c.ints(1));
    if (x.ints() != null && target.size() <= 1) {
      c.set(0, Operand.ints(x.dtype(), x.ints(), target.isEmpty()));
      return;
    }
    boolean zeroCopies = c.node.intAttribute("allowzero", 0) == 0;
    int inferred = -1;
    for (int i = 0; i < target.size(); i++) {
      if (target.get(i).is(0) && zeroCopies) {
        target.set(i, x.dim(i));
      } else if (target.get(i).is(-1)) {
        inferred = i;
      }
    }
    String variable = c.assign("torch.reshape(" + c.tensor(x) + ", " + IntExpr.list(target) + ")");
    if (inferred >= 0) {
      target.set(inferred, inferred(x.shape(), target, inferred, variable));
    }
    c.set(0, Operand.variable(x.dtype(), target, variable));
  }

  /** The size that -1 stands for: a number if all sizes but those on both sides are known. */
  private static IntExpr inferred(
      List<IntExpr> from, List<IntExpr> to, int place, String variable) {
    List<IntExpr> left = new ArrayList<>(from);
    long known = 1;
    for (int i = 0; i < to.size(); i++) {
      IntExpr dim = to.get(i);
      if (i == place || left.remove(dim)) {
        continue;
      }
      if (dim.known() == null) {
        return LoweringContext.size(variable, place);
      }
      known *= dim.known();
    }
    if (left.stream().filter(d -> !d.isKnown()).count() == 0) {
      long size = left.stream().mapToLong(d -> d.value().orElseThrow()).reduce(1, (a, b) -> a * b);
      return known == 0 ? IntExpr.of(0) : IntExpr.of(size / known);
    }
    return LoweringContext.size(variable, place);
  }

  private static void flatten(LoweringContext c) {
    Operand x = c.in(0);
    long attribute = c.node.intAttribute("axis", 1);
    int axis = (int) (attribute < 0 ? attribute + x.rank() : attribute);
    List<IntExpr> shape =
        List.of(product(x.shape().subList(0, axis)), product(x.shape().subList(axis, x.rank())));
    c.result(x.dtype(), shape, "torch.reshape(" + c.tensor(x) + ", " + IntExpr.list(shape) + ")");
  }

  private static void transpose(LoweringContext c) {
    Operand x = c.in(0);
    long[] given = c.node.intsAttribute("perm");
    List<Long> order = new ArrayList<>();
    List<IntExpr> shape = new ArrayList<>();
    for (int i = 0; i < x.rank(); i++) {
      long axis = given == null ? x.rank() - 1 - i : given[i];
      order.add(axis);
      shape.add(x.dim((int) axis));
    }
    c.result(x.dtype(), shape, "torch.permute(" + c.tensor(x) + ", " + order + ")");
  }

  private static void unsqueeze(LoweringContext c) {
    Operand x = c.in(0);
    long[] axes = c.knownInts(1);
    if (axes == null) {
      throw c.unsupported("axes are missing");
    }
    if (x.ints() != null && x.rank() == 0 && axes.length == 1) {
      c.set(0, Operand.ints(x.dtype(), x.ints(), false));
      return;
    }
    TreeSet<Integer> places = new TreeSet<>();
    Arrays.stream(axes).forEach(a -> places.add(TensorShapes.axis(a, x.rank() + axes.length)));
    List<IntExpr> shape = new ArrayList<>(x.shape());
    String variable = c.tensor(x);
    for (int place : places) {
      shape.add(place, IntExpr.of(1));
      variable = c.assign("torch.unsqueeze(" + variable + ", " + place + ")");
    }
    c.set(0, Operand.variable(x.dtype(), shape, variable));
  }

  private static void squeeze(LoweringContext c) {
    Operand x = c.in(0);
    long[] axes = c.knownInts(1);
    if (x.ints() != null && x.ints().size() == 1) {
      c.set(0, Operand.ints(x.dtype(), x.ints(), true));
      return;
    }
    TreeSet<Integer> places = new TreeSet<>();
    if (axes != null) {
      Arrays.stream(axes).forEach(a -> places.add(TensorShapes.axis(a, x.rank())));
    } else {
      for (int i = 0; i < x.rank(); i++) {
        if (!x.dim(i).isKnown()) {
          throw c.unsupported("without axes the sizes must be fixed");
        }
        if (x.dim(i).is(1)) {
          places.add(i);
        }
      }
    }
    List<IntExpr> shape = new ArrayList<>(x.shape());
    String variable = c.tensor(x);
    for (int place : places.descendingSet()) {
      shape.remove(place);
      variable = c.assign("torch.squeeze(" + variable + ", " + place + ")");
    }
    c.set(0, Operand.variable(x.dtype(), shape, variable));
  }

  private static void concat(LoweringContext c) {
    List<Operand> parts = new ArrayList<>();
    for (int i = 0; i < c.node.inputs().size(); i++) {
      parts.add(c.in(i));
    }
    Operand first = parts.get(0);
    if (parts.stream().allMatch(p -> p.ints() != null && p.rank() == 1)) {
      List<IntExpr> all = new ArrayList<>();
      for (Operand part : parts) {
        List<IntExpr> ints = part.ints();
        if (ints != null) {
          all.addAll(ints);
        }
      }
      c.set(0, Operand.ints(first.dtype(), all, false));
      return;
    }
    int axis = c.axis("axis", 0, first.rank());
    List<IntExpr> shape = new ArrayList<>(first.shape());
    shape.set(axis, parts.stream().map(p -> p.dim(axis)).reduce(IntExpr.of(0), IntExpr::plus));
    String list = String.join(", ", parts.stream().map(c::tensor).toList());
    c.result(first.dtype(), shape, "torch.cat([" + list + "], " + axis + ")");
  }

  private static void split(LoweringContext c) {
    Operand x = c.in(0);
    int axis = c.axis("axis", 0, x.rank());
    int count = c.node.outputs().size();
    List<IntExpr> sizes = new ArrayList<>();
    if (c.has(1)) {
      sizes.addAll(c.ints(1));
    } else {
      IntExpr chunk = x.dim(axis).plus(IntExpr.of(count - 1)).dividedBy(IntExpr.of(count));
      for (int i = 0; i < count - 1; i++) {
        sizes.add(chunk);
      }
      sizes.add(x.dim(axis).minus(chunk.times(IntExpr.of(count - 1))));
    }
    IntExpr start = IntExpr.of(0);
    for (int i = 0; i < count; i++) {
      String variable =
          c.assign(
              "torch.narrow(%s, %d, %s, %s)".formatted(c.tensor(x), axis, start, sizes.get(i)));
      List<IntExpr> shape = new ArrayList<>(x.shape());
      shape.set(axis, sizes.get(i));
      c.set(i, Operand.variable(x.dtype(), shape, variable));
      start = start.plus(sizes.get(i));
    }
  }

  private static void expand(LoweringContext c) {
    Operand x = c.in(0);
    List<IntExpr> target = c.ints(1);
    int rank = Math.max(x.rank(), target.size());
    List<IntExpr> shape = new ArrayList<>();
    for (int i = 0; i < rank; i++) {
      int fromX = i - (rank - x.rank());
      int fromTarget = i - (rank - target.size());
      IntExpr a = fromX < 0 ? IntExpr.of(1) : x.dim(fromX);
      IntExpr b = fromTarget < 0 ? IntExpr.of(1) : target.get(fromTarget);
      shape.add(broadcast(a, b));
    }
    c.result(x.dtype(), shape, "torch.expand(" + c.tensor(x) + ", " + IntExpr.list(shape) + ")");
  }

  private static IntExpr broadcast(IntExpr a, IntExpr b) {
    if (a.same(b) || b.is(1)) {
      return a;
    }
    if (a.is(1)) {
      return b;
    }
    if (a.isKnown() || b.isKnown()) {
      return a.isKnown() ? a : b;
    }
    return IntExpr.code("(" + b + " if torch.eq(" + a + ", 1) else " + a + ")");
  }

  private static void tile(LoweringContext c) {
    Operand x = c.in(0);
    List<IntExpr> repeats = c.ints(1);
    List<IntExpr> shape = new ArrayList<>();
    for (int i = 0; i < x.rank(); i++) {
      shape.add(x.dim(i).times(repeats.get(i)));
    }
    c.result(x.dtype(), shape, "torch.repeat(" + c.tensor(x) + ", " + IntExpr.list(repeats) + ")");
  }

  private static void constantOfShape(LoweringContext c) {
    Tensor value =
        c.node.attributes().get("value") instanceof Attribute.TensorValue held
            ? held.value()
            : Tensor.scalar(0f);
    DType dtype = c.computed(value.dtype());
    List<IntExpr> shape = c.ints(0);
    String number =
        dtype.isFloat() ? ScriptWriter.number(value.item()) : Long.toString((long) value.item());
    c.result(
        dtype,
        shape,
        "torch.full(%s, %s, dtype=%d)"
            .formatted(IntExpr.list(shape), number, ScriptWriter.code(dtype)));
  }

  private static void range(LoweringContext c) {
    DType dtype = c.in(0).dtype();
    if (!dtype.isInteger()) {
      throw c.unsupported("a range of " + dtype.label() + " whose bounds are no constants");
    }
    IntExpr start = c.ints(0).get(0);
    IntExpr end = c.ints(1).get(0);
    IntExpr step = c.ints(2).get(0);
    String expression =
        "torch.arange(%s, %s, %s, dtype=%d)".formatted(start, end, step, ScriptWriter.code(dtype));
    if (step.is(1)) {
      c.result(dtype, List.of(end.minus(start)), expression);
    } else {
      c.measured(dtype, 1, expression);
    }
  }

  private static void trilu(LoweringContext c) {
    Operand x = c.in(0);
    String diagonal = c.has(1) ? c.ints(1).get(0).code() : "0";
    String function = c.node.intAttribute("upper", 1) == 1 ? "torch.triu" : "torch.tril";
    c.result(x.dtype(), x.shape(), function + "(" + c.tensor(x) + ", " + diagonal + ")");
  }
}
