package io.peft4j.graph.passes;

import io.peft4j.graph.Attribute;
import io.peft4j.graph.DType;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;
import java.util.function.LongBinaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Computes single-output operators on constants. Floating point is computed in double and rounded
 * once to the output's type; integers stay integers.
 */
public final class ConstantEvaluator {
  private static final Map<String, DoubleUnaryOperator> UNARY =
      Map.ofEntries(
          Map.entry("Sqrt", Math::sqrt),
          Map.entry("Neg", x -> -x),
          Map.entry("Abs", Math::abs),
          Map.entry("Exp", Math::exp),
          Map.entry("Log", Math::log),
          Map.entry("Sin", Math::sin),
          Map.entry("Cos", Math::cos),
          Map.entry("Tanh", Math::tanh),
          Map.entry("Reciprocal", x -> 1 / x),
          Map.entry("Floor", Math::floor),
          Map.entry("Ceil", Math::ceil),
          Map.entry("Not", x -> x == 0 ? 1 : 0));

  private record Binary(DoubleBinaryOperator real, LongBinaryOperator whole, boolean logical) {}

  private static final Map<String, Binary> BINARY =
      Map.ofEntries(
          Map.entry("Add", new Binary(Double::sum, Long::sum, false)),
          Map.entry("Sub", new Binary((a, b) -> a - b, (a, b) -> a - b, false)),
          Map.entry("Mul", new Binary((a, b) -> a * b, (a, b) -> a * b, false)),
          Map.entry("Div", new Binary((a, b) -> a / b, (a, b) -> a / b, false)),
          Map.entry(
              "Pow",
              new Binary(Math::pow, (a, b) -> (long) Math.pow((double) a, (double) b), false)),
          Map.entry("Max", new Binary(Math::max, Math::max, false)),
          Map.entry("Min", new Binary(Math::min, Math::min, false)),
          Map.entry("Equal", new Binary((a, b) -> is(a == b), (a, b) -> a == b ? 1 : 0, true)),
          Map.entry("Greater", new Binary((a, b) -> is(a > b), (a, b) -> a > b ? 1 : 0, true)),
          Map.entry("Less", new Binary((a, b) -> is(a < b), (a, b) -> a < b ? 1 : 0, true)),
          Map.entry(
              "GreaterOrEqual", new Binary((a, b) -> is(a >= b), (a, b) -> a >= b ? 1 : 0, true)),
          Map.entry(
              "LessOrEqual", new Binary((a, b) -> is(a <= b), (a, b) -> a <= b ? 1 : 0, true)),
          Map.entry("And", new Binary((a, b) -> is(a * b != 0), (a, b) -> a & b, true)),
          Map.entry("Or", new Binary((a, b) -> is(a + b != 0), (a, b) -> a | b, true)));

  private ConstantEvaluator() {}

  private static double is(boolean condition) {
    return condition ? 1 : 0;
  }

  /**
   * The output of a node whose inputs are all known.
   *
   * @param inputs in the node's order; null for one that is not given
   * @return null if the operator, its form or a type is not one that is folded
   */
  public static @Nullable Tensor evaluate(Node node, List<@Nullable Tensor> inputs) {
    if (!node.domain().isEmpty() || node.outputs().size() != 1) {
      return null;
    }
    if (node.op().equals("Constant")) {
      return constant(node);
    }
    if (node.op().equals("DequantizeLinear")) {
      return DequantizedWeights.linear(node, inputs);
    }
    if (inputs.isEmpty()
        || inputs.contains(null)
        || !inputs.stream().allMatch(ConstantEvaluator::readable)) {
      return null;
    }
    List<Tensor> given = new ArrayList<>();
    inputs.forEach(given::add);
    return compute(node, given);
  }

  private static @Nullable Tensor constant(Node node) {
    Attribute first = node.attributes().values().stream().findFirst().orElse(null);
    if (first instanceof Attribute.TensorValue held) {
      return held.value();
    } else if (first instanceof Attribute.IntValue held) {
      return Tensor.scalar(held.value());
    } else if (first instanceof Attribute.FloatValue held) {
      return Tensor.scalar(held.value());
    } else if (first instanceof Attribute.Ints held) {
      return Tensor.vector(held.values().stream().mapToLong(Long::longValue).toArray());
    } else if (first instanceof Attribute.Floats held) {
      float[] values = new float[held.values().size()];
      for (int i = 0; i < values.length; i++) {
        values[i] = held.values().get(i);
      }
      return Tensor.ofFloats(new long[] {values.length}, values);
    }
    return null;
  }

  private static boolean readable(@Nullable Tensor tensor) {
    return tensor != null
        && (tensor.dtype().isFloat() || tensor.dtype().isInteger() || tensor.dtype() == DType.BOOL);
  }

  private static @Nullable Tensor compute(Node node, List<Tensor> in) {
    Tensor x = in.get(0);
    Binary binary = BINARY.get(node.op());
    if (binary != null) {
      return in.size() == 2 ? binary(binary, x, in.get(1), node.op().equals("Div")) : null;
    }
    DoubleUnaryOperator unary = UNARY.get(node.op());
    if (unary != null) {
      return unary(unary, x);
    }
    return switch (node.op()) {
      case "Identity" -> x;
      case "Cast" -> cast(x, node);
      case "Transpose" -> x.transposed(permutation(node, x.rank()));
      case "Reshape" ->
          node.intAttribute("allowzero", 0) == 0 ? reshape(x, in.get(1).toLongs()) : null;
      case "Unsqueeze" -> x.reshaped(TensorShapes.unsqueezed(x.shape(), in.get(1).toLongs()));
      case "Squeeze" ->
          x.reshaped(TensorShapes.squeezed(x.shape(), in.size() > 1 ? in.get(1).toLongs() : null));
      case "Shape" -> node.attributes().isEmpty() ? Tensor.vector(x.shape()) : null;
      case "Concat" -> ConstantLayout.concat(in, (int) node.intAttribute("axis", 0));
      case "Gather" -> ConstantLayout.gather(x, in.get(1), (int) node.intAttribute("axis", 0));
      case "Slice" -> ConstantLayout.slice(x, in);
      case "Expand" ->
          ConstantLayout.expand(x, TensorShapes.broadcast(x.shape(), in.get(1).toLongs()));
      case "ConstantOfShape" -> constantOfShape(node, x.toLongs());
      case "Range" -> range(in);
      case "Where" -> ConstantLayout.where(in.get(0), in.get(1), in.get(2));
      default -> null;
    };
  }

  private static @Nullable Tensor cast(Tensor x, Node node) {
    DType target = DType.ofOnnxCode((int) node.intAttribute("to", 1));
    boolean supported = target.isFloat() || target.isInteger() || target == DType.BOOL;
    return supported ? x.cast(target) : null;
  }

  static int[] permutation(Node node, int rank) {
    long[] given = node.intsAttribute("perm");
    int[] permutation = new int[rank];
    for (int i = 0; i < rank; i++) {
      permutation[i] = given == null ? rank - 1 - i : (int) given[i];
    }
    return permutation;
  }

  private static Tensor reshape(Tensor x, long[] target) {
    long[] shape = target.clone();
    long known = 1;
    int inferred = -1;
    for (int i = 0; i < shape.length; i++) {
      if (shape[i] == 0) {
        shape[i] = x.dim(i);
      }
      if (shape[i] == -1) {
        inferred = i;
      } else {
        known *= shape[i];
      }
    }
    if (inferred >= 0) {
      shape[inferred] = known == 0 ? 0 : x.size() / known;
    }
    return x.reshaped(shape);
  }

  private static @Nullable Tensor constantOfShape(Node node, long[] shape) {
    Tensor value =
        node.attributes().get("value") instanceof Attribute.TensorValue held
            ? held.value()
            : Tensor.scalar(0f);
    return Tensor.elements(shape) > 1 << 16 ? null : ConstantLayout.expand(value.reshaped(), shape);
  }

  private static @Nullable Tensor range(List<Tensor> in) {
    DType dtype = in.get(0).dtype();
    double start = in.get(0).item();
    double step = in.get(2).item();
    int count = (int) Math.max(0, Math.ceil((in.get(1).item() - start) / step));
    double[] values = new double[count];
    Arrays.setAll(values, i -> start + i * step);
    return count > 1 << 16 ? null : Tensor.ofDoubles(new long[] {count}, values).cast(dtype);
  }

  private static Tensor unary(DoubleUnaryOperator operator, Tensor x) {
    double[] values = x.toDoubles();
    Arrays.setAll(values, i -> operator.applyAsDouble(values[i]));
    return Tensor.ofDoubles(x.shape(), values).cast(x.dtype());
  }

  private static @Nullable Tensor binary(Binary operator, Tensor a, Tensor b, boolean division) {
    long[] shape = TensorShapes.broadcast(a.shape(), b.shape());
    Tensor left = ConstantLayout.expand(a, shape);
    Tensor right = ConstantLayout.expand(b, shape);
    int size = Math.toIntExact(Tensor.elements(shape));
    DType result = operator.logical() ? DType.BOOL : a.dtype();
    if (a.dtype().isFloat() || b.dtype().isFloat()) {
      double[] x = left.toDoubles();
      double[] y = right.toDoubles();
      double[] z = new double[size];
      Arrays.setAll(z, i -> operator.real().applyAsDouble(x[i], y[i]));
      return Tensor.ofDoubles(shape, z).cast(result);
    }
    long[] x = left.toLongs();
    long[] y = right.toLongs();
    ByteBuffer z = Tensor.allocate(8L * size);
    for (int i = 0; i < size; i++) {
      if (y[i] == 0 && division) {
        return null;
      }
      z.putLong(8 * i, operator.whole().applyAsLong(x[i], y[i]));
    }
    return Tensor.of(DType.INT64, shape, z).cast(result);
  }
}
