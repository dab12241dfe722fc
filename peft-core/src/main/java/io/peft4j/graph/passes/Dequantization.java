package io.peft4j.graph.passes;

import static com.google.common.base.Preconditions.checkArgument;

import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** What quantised tensors stand for. */
public final class Dequantization {
  private Dequantization() {}

  /**
   * ONNX's DequantizeLinear: (value − zero) · scale, computed in float32. Made when first looked
   * at.
   *
   * @param values integers of up to 32 bits
   * @param scale floating point: a scalar, a vector along {@code axis} or, with blocks, of {@code
   *     values}' shape with {@code axis} divided by {@code block} and rounded up
   * @param zero of {@code scale}'s shape; null for 0
   * @param axis of {@code values}
   * @param block how many elements along the axis share a scale; 0 for no blocks
   * @return float32 of {@code values}' shape
   */
  public static Tensor linear(
      Tensor values, Tensor scale, @Nullable Tensor zero, int axis, int block) {
    boolean whole = block == 0 && scale.size() == 1;
    checkArgument(
        (whole || (axis >= 0 && axis < values.rank() && fits(values, scale, axis, block)))
            && (zero == null || Arrays.equals(zero.shape(), scale.shape())),
        "scale %s and zero point %s do not fit %s along axis %s in blocks of %s",
        scale,
        zero,
        values,
        axis,
        block);
    return Tensor.lazy(
        DType.FLOAT32,
        values.shape(),
        () -> computed(values, scale, zero, whole ? 0 : axis, block));
  }

  private static boolean fits(Tensor values, Tensor scale, int axis, int block) {
    if (block == 0) {
      return scale.rank() == 1 && scale.dim(0) == values.dim(axis);
    }
    long[] expected = values.shape();
    expected[axis] = (expected[axis] + block - 1) / block;
    return Arrays.equals(expected, scale.shape());
  }

  private static ByteBuffer computed(
      Tensor values, Tensor scale, @Nullable Tensor zero, int axis, int block) {
    long[] whole = values.toLongs();
    float[] scales = scale.toFloats();
    long[] zeros = zero == null ? new long[scales.length] : zero.toLongs();
    ByteBuffer result = Tensor.allocate(4L * whole.length);
    int length = values.rank() == 0 ? 1 : Math.toIntExact(values.dim(axis));
    int inner = 1;
    for (int i = axis + 1; i < values.rank(); i++) {
      inner *= (int) values.dim(i);
    }
    int each = block == 0 ? 1 : block;
    int blocks = (length + each - 1) / each;
    for (int i = 0; i < whole.length; i++) {
      int along = i / inner % length / each;
      int place = block == 0 ? along : (i / inner / length * blocks + along) * inner + i % inner;
      int at = scales.length == 1 ? 0 : place;
      result.putFloat(4 * i, (whole[i] - zeros[at]) * scales[at]);
    }
    return result;
  }

  /**
   * code[index] · scale of its block, in float32. Made when first looked at.
   *
   * @param indices uint4, row by row; ones beyond the shape's elements are padding
   * @param code the numbers that indices stand for
   * @param scale float32, one for each block
   * @param block how many elements share a scale
   * @param shape of the result
   */
  public static Tensor codebook(
      Tensor indices, Tensor code, Tensor scale, int block, long... shape) {
    int size = Math.toIntExact(Tensor.elements(shape));
    checkArgument(
        indices.size() >= size && scale.size() == (size + block - 1) / block,
        "%s indices and %s scales do not fit %s elements in blocks of %s",
        indices.size(),
        scale.size(),
        size,
        block);
    return Tensor.lazy(
        DType.FLOAT32,
        shape,
        () -> {
          long[] index = indices.toLongs();
          float[] codes = code.toFloats();
          float[] scales = scale.toFloats();
          ByteBuffer result = Tensor.allocate(4L * size);
          for (int i = 0; i < size; i++) {
            result.putFloat(4 * i, codes[(int) index[i]] * scales[i / block]);
          }
          return result;
        });
  }
}
