package io.peft4j.engine.torch;

import com.google.common.collect.ImmutableMap;
import io.peft4j.graph.DType;
import java.util.ArrayList;
import java.util.List;

/**
 * Integers that stand for real numbers. Products of integers are computed in float64, which holds
 * sums of up to 2⁵³ exactly. Rounding has no gradient: none flows back through these.
 */
final class QuantizationLowerings {
  static final ImmutableMap<String, Lowering> TABLE =
      ImmutableMap.of(
          "QuantizeLinear", QuantizationLowerings::quantize,
          "DequantizeLinear", QuantizationLowerings::dequantize,
          "DynamicQuantizeLinear", QuantizationLowerings::dynamicQuantize,
          "MatMulInteger", QuantizationLowerings::matMul,
          "ConvInteger", QuantizationLowerings::conv);

  private QuantizationLowerings() {}

  private static void quantize(LoweringContext c) {
    Operand x = c.in(0);
    DType declared = DType.ofOnnxCode((int) c.node.intAttribute("output_dtype", 2));
    DType target = c.has(2) ? c.in(2).dtype() : declared;
    String scale = along(c, x, 1);
    String steps = "torch.round(torch.div(%s, %s))".formatted(c.tensor(x), scale);
    if (c.has(2)) {
      steps = "torch.add(%s, %s)".formatted(steps, cast(along(c, x, 2), x.dtype()));
    }
    long low =
        switch (target) {
          case UINT8, UINT16 -> 0;
          case INT8 -> -128;
          case INT16 -> -32768;
          default -> throw c.unsupported("quantising to " + target.label());
        };
    long high = low + (1L << target.bits()) - 1;
    String limited = "torch.clamp(%s, %d, %d)".formatted(steps, low, high);
    c.result(target, x.shape(), "torch.to(" + limited + ", " + ScriptWriter.code(target) + ")");
  }

  private static void dequantize(LoweringContext c) {
    Operand x = c.in(0);
    DType target = c.in(1).dtype();
    String value = cast(c.tensor(x), target);
    if (c.has(2)) {
      value = "torch.sub(%s, %s)".formatted(value, cast(along(c, x, 2), target));
    }
    c.result(target, x.shape(), "torch.mul(%s, %s)".formatted(value, along(c, x, 1)));
  }

  /** A scale or zero point, shaped to lie along the axis of the first input. */
  private static String along(LoweringContext c, Operand x, int index) {
    if (c.node.intAttribute("block_size", 0) != 0) {
      throw c.unsupported("a scale for each block of a value that is no constant");
    }
    Operand vector = c.in(index);
    if (vector.rank() == 0) {
      return c.tensor(vector);
    }
    int axis = c.axis("axis", 1, Math.max(x.rank(), 2));
    List<IntExpr> shape = new ArrayList<>();
    for (int i = 0; i < x.rank(); i++) {
      shape.add(i == axis ? vector.dim(0) : IntExpr.of(1));
    }
    return vector.dim(0).is(1)
        ? c.tensor(vector)
        : "torch.reshape(%s, %s)".formatted(c.tensor(vector), IntExpr.list(shape));
  }

  private static String cast(String value, DType dtype) {
    return "torch.to(" + value + ", " + ScriptWriter.code(dtype) + ")";
  }

  private static void dynamicQuantize(LoweringContext c) {
    Operand x = c.in(0);
    String input = c.tensor(x);
    String low = c.assign("torch.clamp_max(torch.min(" + input + "), 0.)");
    String high = c.assign("torch.clamp_min(torch.max(" + input + "), 0.)");
    String range = c.assign("torch.sub(" + high + ", " + low + ")");
    String scale =
        c.assign(
            "torch.where(torch.eq(%s, 0), torch.ones_like(%s), torch.div(%s, 255.))"
                .formatted(range, range, range));
    String zero =
        c.assign(
            "torch.clamp(torch.round(torch.neg(torch.div(%s, %s))), 0, 255)".formatted(low, scale));
    String values =
        "torch.clamp(torch.add(torch.round(torch.div(%s, %s)), %s), 0, 255)"
            .formatted(input, scale, zero);
    c.result(DType.UINT8, x.shape(), cast(values, DType.UINT8));
    c.set(1, Operand.variable(x.dtype(), List.of(), scale));
    c.set(2, Operand.variable(DType.UINT8, List.of(), c.assign(cast(zero, DType.UINT8))));
  }

  private static void matMul(LoweringContext c) {
    Operand a = c.in(0);
    Operand b = c.in(1);
    String left = difference(c, 0, 2, "[-1, 1]");
    String right = difference(c, 1, 3, "[1, -1]");
    String product = c.assign("torch.matmul(" + left + ", " + right + ")");
    List<IntExpr> shape = LayerLowerings.productShape(c, a, b, product);
    c.result(DType.INT32, shape, cast(product, DType.INT32));
  }

  private static void conv(LoweringContext c) {
    String x = difference(c, 0, 2, "[1]");
    String ones = ", 1".repeat(c.in(1).rank() - 1);
    String weight = difference(c, 1, 3, "[-1" + ones + "]");
    String sums = ImageLowerings.convolution(c, c.assign(x), c.assign(weight), "None");
    c.measured(DType.INT32, c.in(0).rank(), cast(sums, DType.INT32));
  }

  /**
   * An operand minus its zero point in float64.
   *
   * @param shape what a zero point of one axis is reshaped to
   */
  private static String difference(LoweringContext c, int index, int zero, String shape) {
    String value = cast(c.tensor(index), DType.FLOAT64);
    if (!c.has(zero)) {
      return value;
    }
    Operand point = c.in(zero);
    if (point.rank() > 1) {
      throw c.unsupported("zero points of several axes");
    }
    String number =
        point.rank() == 0 || point.dim(0).is(1)
            ? c.tensor(point)
            : "torch.reshape(%s, %s)".formatted(c.tensor(point), shape);
    return "torch.sub(%s, %s)".formatted(value, cast(number, DType.FLOAT64));
  }
}
