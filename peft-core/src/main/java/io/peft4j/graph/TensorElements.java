package io.peft4j.graph;

import static com.google.common.base.Preconditions.checkArgument;

import io.peft4j.UnsupportedModelException;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** Reading, writing and moving single elements of tensor data. */
final class TensorElements {
  private TensorElements() {}

  static double number(DType dtype, ByteBuffer data, int index) {
    return switch (dtype) {
      case FLOAT32 -> data.getFloat(4 * index);
      case FLOAT64 -> data.getDouble(8 * index);
      case FLOAT16 -> HalfFloats.fromFloat16(data.getShort(2 * index));
      case BFLOAT16 -> HalfFloats.fromBfloat16(data.getShort(2 * index));
      case UINT64 -> {
        long bits = data.getLong(8 * index);
        yield bits >= 0 ? bits : ((bits >>> 1) | (bits & 1)) * 2.0;
      }
      default -> integer(dtype, data, index);
    };
  }

  static long integer(DType dtype, ByteBuffer data, int index) {
    return switch (dtype) {
      case INT64, UINT64 -> data.getLong(8 * index);
      case INT32 -> data.getInt(4 * index);
      case UINT32 -> Integer.toUnsignedLong(data.getInt(4 * index));
      case INT16 -> data.getShort(2 * index);
      case UINT16 -> Short.toUnsignedInt(data.getShort(2 * index));
      case INT8 -> data.get(index);
      case UINT8 -> Byte.toUnsignedInt(data.get(index));
      case BOOL -> data.get(index) == 0 ? 0 : 1;
      case INT4 -> (nibble(data, index) ^ 8L) - 8;
      case UINT4 -> nibble(data, index);
      case FLOAT32, FLOAT64, FLOAT16, BFLOAT16 -> (long) number(dtype, data, index);
      default ->
          throw new UnsupportedModelException(
              "elements of type " + dtype.label() + " can be carried but not computed with");
    };
  }

  private static long nibble(ByteBuffer data, int index) {
    return (data.get(index / 2) >>> (index % 2 * 4)) & 0xfL;
  }

  static void put(DType dtype, ByteBuffer data, int index, double number, long integer) {
    switch (dtype) {
      case FLOAT32 -> data.putFloat(4 * index, (float) number);
      case FLOAT64 -> data.putDouble(8 * index, number);
      case FLOAT16 -> data.putShort(2 * index, HalfFloats.toFloat16(number));
      case BFLOAT16 -> data.putShort(2 * index, HalfFloats.toBfloat16(number));
      case INT64, UINT64 -> data.putLong(8 * index, integer);
      case INT32, UINT32 -> data.putInt(4 * index, (int) integer);
      case INT16, UINT16 -> data.putShort(2 * index, (short) integer);
      case INT8, UINT8 -> data.put(index, (byte) integer);
      case BOOL -> data.put(index, (byte) (number != 0 ? 1 : 0));
      default ->
          throw new UnsupportedModelException(
              "conversion to " + dtype.label() + " is not supported");
    }
  }

  static ByteBuffer converted(Tensor source, DType target) {
    int size = Math.toIntExact(source.size());
    ByteBuffer in = source.data();
    ByteBuffer out = Tensor.allocate(target.bytes(size));
    for (int i = 0; i < size; i++) {
      put(target, out, i, number(source.dtype(), in, i), integer(source.dtype(), in, i));
    }
    return out;
  }

  static Tensor transposed(Tensor source, int... permutation) {
    int rank = source.rank();
    checkArgument(
        permutation.length == rank
            && Arrays.stream(permutation).distinct().filter(a -> a >= 0 && a < rank).count()
                == rank,
        "%s is no order of the axes of %s",
        Arrays.toString(permutation),
        source);
    long[] shape = new long[rank];
    for (int i = 0; i < rank; i++) {
      shape[i] = source.dim(permutation[i]);
    }
    int width = source.dtype().bits() / 8;
    checkArgument(width > 0, "%s cannot be transposed: its elements are packed", source);
    return Tensor.lazy(source.dtype(), shape, () -> permuted(source, shape, permutation, width));
  }

  static Tensor selected(Tensor source, int axis, int... entries) {
    checkArgument(axis >= 0 && axis < source.rank(), "%s has no axis %s", source, axis);
    int width = source.dtype().bits() / 8;
    checkArgument(width > 0, "%s cannot be cut: its elements are packed", source);
    for (int entry : entries) {
      checkArgument(
          entry >= 0 && entry < source.dim(axis), "axis %s of %s has no %s", axis, source, entry);
    }
    long[] shape = source.shape();
    int inner = width;
    for (int i = axis + 1; i < shape.length; i++) {
      inner = Math.multiplyExact(inner, Math.toIntExact(shape[i]));
    }
    int run = inner;
    int outer = Math.toIntExact(Tensor.elements(Arrays.copyOf(shape, axis)));
    int whole = Math.toIntExact(shape[axis]);
    shape[axis] = entries.length;
    int[] chosen = entries.clone();
    return Tensor.lazy(
        source.dtype(),
        shape,
        () -> {
          ByteBuffer in = source.data();
          ByteBuffer out = Tensor.allocate((long) outer * chosen.length * run);
          for (int block = 0; block < outer; block++) {
            for (int entry : chosen) {
              out.put(in.slice((block * whole + entry) * run, run));
            }
          }
          return out.flip();
        });
  }

  private static ByteBuffer permuted(Tensor source, long[] shape, int[] permutation, int width) {
    int rank = shape.length;
    int size = Math.toIntExact(source.size());
    int[] sourceStride = new int[rank];
    int stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
      sourceStride[i] = stride;
      stride = Math.multiplyExact(stride, Math.max(1, (int) source.dim(i)));
    }
    ByteBuffer in = source.data();
    ByteBuffer out = Tensor.allocate((long) size * width);
    int[] index = new int[rank];
    int from = 0;
    for (int to = 0; to < size; to++) {
      switch (width) {
        case 1 -> out.put(to, in.get(from));
        case 2 -> out.putShort(2 * to, in.getShort(2 * from));
        case 4 -> out.putInt(4 * to, in.getInt(4 * from));
        case 8 -> out.putLong(8 * to, in.getLong(8 * from));
        default -> {
          out.putLong(16 * to, in.getLong(16 * from));
          out.putLong(16 * to + 8, in.getLong(16 * from + 8));
        }
      }
      for (int axis = rank - 1; axis >= 0; axis--) {
        int step = sourceStride[permutation[axis]];
        from += step;
        if (++index[axis] < shape[axis]) {
          break;
        }
        from -= step * index[axis];
        index[axis] = 0;
      }
    }
    return out;
  }
}
