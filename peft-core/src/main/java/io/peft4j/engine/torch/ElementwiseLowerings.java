package io.peft4j.engine.torch;

import com.google.common.collect.ImmutableMap;
import io.peft4j.graph.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BinaryOperator;
import org.jspecify.annotations.Nullable;

/** Operators that work element by element. */
final class ElementwiseLowerings {
  static final ImmutableMap<String, Lowering> TABLE =
      ImmutableMap.<String, Lowering>builder()
          .put("Abs", unary("torch.abs(%s)"))
          .put("Neg", unary("torch.neg(%s)"))
          .put("Sqrt", unary("torch.sqrt(%s)"))
          .put("Exp", unary("torch.exp(%s)"))
          .put("Log", unary("torch.log(%s)"))
          .put("Erf", unary("torch.erf(%s)"))
          .put("Sin", unary("torch.sin(%s)"))
          .put("Cos", unary("torch.cos(%s)"))
          .put("Tan", unary("torch.tan(%s)"))
          .put("Atan", unary("torch.atan(%s)"))
          .put("Tanh", unary("torch.tanh(%s)"))
          .put("Sigmoid", unary("torch.sigmoid(%s)"))
          .put("Relu", unary("torch.relu(%s)"))
          .put("Softplus", unary("torch.softplus(%s)"))
          .put("Floor", unary("torch.floor(%s)"))
          .put("Ceil", unary("torch.ceil(%s)"))
          .put("Round", unary("torch.round(%s)"))
          .put("Sign", unary("torch.sign(%s)"))
          .put("Reciprocal", unary("torch.reciprocal(%s)"))
          .put("Not", unary("torch.logical_not(%s)"))
          .put("Gelu", ElementwiseLowerings::gelu)
          .put("LeakyRelu", c -> activation(c, "torch.leaky_relu(%s, %s)", 0.01f))
          .put("Elu", c -> activation(c, "torch.elu(%s, %s)", 1f))
          .put("Add", arithmetic("torch.add", IntExpr::plus, true))
          .put("Sub", arithmetic("torch.sub", IntExpr::minus, false))
          .put("Mul", arithmetic("torch.mul", IntExpr::times, true))
          .put("Div", arithmetic("torch.div", IntExpr::dividedBy, false))
          .put("Pow", ElementwiseLowerings::pow)
          .put("Min", variadic("torch.minimum"))
          .put("Max", variadic("torch.maximum"))
          .put("Equal", comparison("torch.eq"))
          .put("Greater", comparison("torch.gt"))
          .put("GreaterOrEqual", comparison("torch.ge"))
          .put("Less", comparison("torch.lt"))
          .put("LessOrEqual", comparison("torch.le"))
          .put("And", comparison("torch.logical_and"))
          .put("Or", comparison("torch.logical_or"))
          .put("Where", ElementwiseLowerings::where)
          .put("Cast", ElementwiseLowerings::cast)
          .put("Clip", ElementwiseLowerings::clip)
          .build();

  private ElementwiseLowerings() {}

  private static Lowering unary(String pattern) {
    return c -> c.result(c.in(0).dtype(), c.in(0).shape(), pattern.formatted(c.tensor(0)));
  }

  private static void activation(LoweringContext c, String pattern, float absent) {
    String alpha = ScriptWriter.number(c.node.floatAttribute("alpha", absent));
    c.result(c.in(0).dtype(), c.in(0).shape(), pattern.formatted(c.tensor(0), alpha));
  }

  private static void gelu(LoweringContext c) {
    String approximate = c.node.stringAttribute("approximate", "none");
    c.result(
        c.in(0).dtype(),
        c.in(0).shape(),
        "torch.gelu(" + c.tensor(0) + ", approximate=\"" + approximate + "\")");
  }

  private static Lowering arithmetic(
      String function, BinaryOperator<IntExpr> onInts, boolean commutes) {
    return c -> {
      Operand a = c.in(0);
      Operand b = c.in(1);
      List<IntExpr> ints = onInts(a, b, onInts);
      if (ints != null) {
        c.set(0, Operand.ints(a.dtype(), ints, a.rank() + b.rank() == 0));
        return;
      }
      String rounding =
          function.equals("torch.div") && a.dtype().isInteger() ? ", rounding_mode=\"trunc\"" : "";
      if (isNumber(b, a)) {
        c.result(a.dtype(), a.shape(), call(function, c.tensor(a), number(b), rounding));
      } else if (commutes && isNumber(a, b)) {
        c.result(b.dtype(), b.shape(), call(function, c.tensor(b), number(a), rounding));
      } else {
        broadcasting(c, a.dtype(), call(function, c.tensor(a), c.tensor(b), rounding));
      }
    };
  }

  private static String call(String function, String a, String b, String more) {
    return function + "(" + a + ", " + b + more + ")";
  }

  private static void broadcasting(LoweringContext c, DType dtype, String expression) {
    String variable = c.assign(expression);
    List<IntExpr> shape = c.broadcast(List.of(c.in(0), c.in(1)), variable);
    c.set(0, Operand.variable(dtype, shape, variable));
  }

  /**
   * Whether an operand can be written as a number beside another one, which then decides shape and
   * type.
   */
  private static boolean isNumber(Operand number, Operand other) {
    return number.isScalarConstant()
        && number.rank() <= other.rank()
        && number.dtype() == other.dtype()
        && number.dtype() != DType.BOOL;
  }

  static String number(Operand constant) {
    double value = constant.scalar();
    return constant.dtype().isFloat() ? ScriptWriter.number(value) : Long.toString((long) value);
  }

  private static @Nullable List<IntExpr> onInts(
      Operand a, Operand b, BinaryOperator<IntExpr> operator) {
    List<IntExpr> x = a.ints();
    List<IntExpr> y = b.ints();
    if (x == null || y == null || (x.size() != y.size() && x.size() != 1 && y.size() != 1)) {
      return null;
    }
    List<IntExpr> result = new ArrayList<>();
    for (int i = 0; i < Math.max(x.size(), y.size()); i++) {
      result.add(operator.apply(x.get(x.size() == 1 ? 0 : i), y.get(y.size() == 1 ? 0 : i)));
    }
    return result;
  }

  private static void pow(LoweringContext c) {
    Operand base = c.in(0);
    Operand exponent = c.in(1);
    if (exponent.isScalarConstant() && exponent.rank() <= base.rank() && base.dtype().isFloat()) {
      String power = ScriptWriter.number(exponent.scalar());
      c.result(base.dtype(), base.shape(), call("torch.pow", c.tensor(base), power, ""));
      return;
    }
    String raised = call("torch.pow", c.tensor(base), c.tensor(exponent), "");
    broadcasting(
        c, base.dtype(), "torch.to(" + raised + ", " + ScriptWriter.code(base.dtype()) + ")");
  }

  private static Lowering variadic(String function) {
    return c -> {
      Operand first = c.in(0);
      String variable = c.tensor(first);
      List<Operand> seen = new ArrayList<>(List.of(first));
      for (int i = 1; i < c.node.inputs().size(); i++) {
        seen.add(c.in(i));
        variable = c.assign(call(function, variable, c.tensor(i), ""));
      }
      c.set(0, Operand.variable(first.dtype(), c.broadcast(seen, variable), variable));
    };
  }

  private static Lowering comparison(String function) {
    return c -> {
      Operand a = c.in(0);
      Operand b = c.in(1);
      List<IntExpr> ints = onInts(a, b, (x, y) -> compared(function, x, y));
      if (ints != null) {
        c.set(0, Operand.ints(DType.BOOL, ints, a.rank() + b.rank() == 0));
      } else if (isNumber(b, a)) {
        c.result(DType.BOOL, a.shape(), call(function, c.tensor(a), number(b), ""));
      } else {
        broadcasting(c, DType.BOOL, call(function, c.tensor(a), c.tensor(b), ""));
      }
    };
  }

  /** A comparison of sizes. A size is never negative, and equal expressions are equal numbers. */
  private static IntExpr compared(String function, IntExpr x, IntExpr y) {
    if (function.equals("torch.eq")) {
      if (x.same(y)) {
        return IntExpr.of(1);
      }
      boolean never =
          x.value().orElse(0) < 0 != y.value().orElse(0) < 0 || (x.isKnown() && y.isKnown());
      if (never) {
        return IntExpr.of(0);
      }
    }
    return IntExpr.code(call(function, x.code(), y.code(), ""));
  }

  private static void where(LoweringContext c) {
    Operand condition = c.in(0);
    Operand yes = c.in(1);
    Operand no = c.in(2);
    List<IntExpr> tests = condition.ints();
    if (tests != null && yes.ints() != null && no.ints() != null) {
      List<IntExpr> chosen = new ArrayList<>();
      int size = Math.max(tests.size(), Math.max(yes.ints().size(), no.ints().size()));
      for (int i = 0; i < size; i++) {
        chosen.add(chosen(pick(tests, i), pick(yes.ints(), i), pick(no.ints(), i)));
      }
      c.set(0, Operand.ints(yes.dtype(), chosen, condition.rank() + yes.rank() + no.rank() == 0));
      return;
    }
    String variable =
        c.assign(
            "torch.where("
                + c.tensor(condition)
                + ", "
                + c.tensor(yes)
                + ", "
                + c.tensor(no)
                + ")");
    List<IntExpr> shape = c.broadcast(List.of(condition, yes, no), variable);
    c.set(0, Operand.variable(yes.dtype(), shape, variable));
  }

  private static IntExpr pick(List<IntExpr> list, int index) {
    return list.get(list.size() == 1 ? 0 : index);
  }

  private static IntExpr chosen(IntExpr test, IntExpr yes, IntExpr no) {
    if (test.isKnown() || yes.same(no)) {
      return test.is(0) ? no : yes;
    }
    return IntExpr.code("(" + yes.code() + " if " + test.code() + " else " + no.code() + ")");
  }

  private static void cast(LoweringContext c) {
    Operand x = c.in(0);
    DType target = c.computed(DType.ofOnnxCode((int) c.node.intAttribute("to", 1)));
    if (x.ints() != null && target.isInteger() && x.dtype().isInteger()) {
      c.set(0, Operand.ints(target, x.ints(), x.rank() == 0));
      return;
    }
    if (!computable(target)) {
      throw c.unsupported("a cast to " + target.label());
    }
    if (x.dtype() == target) {
      c.set(0, x);
      return;
    }
    c.result(target, x.shape(), "torch.to(" + c.tensor(x) + ", " + ScriptWriter.code(target) + ")");
  }

  private static boolean computable(DType dtype) {
    return switch (dtype) {
      case UINT8, INT8, INT16, INT32, INT64, FLOAT16, FLOAT32, FLOAT64, BOOL, BFLOAT16 -> true;
      default -> false;
    };
  }

  private static void clip(LoweringContext c) {
    Operand x = c.in(0);
    String variable = c.tensor(x);
    if (c.has(1)) {
      variable = c.assign(call("torch.maximum", variable, c.tensor(1), ""));
    }
    if (c.has(2)) {
      variable = c.assign(call("torch.minimum", variable, c.tensor(2), ""));
    }
    c.set(0, Operand.variable(x.dtype(), x.shape(), variable));
  }
}
