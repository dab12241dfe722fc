package io.peft4j.graph.passes;

import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.nio.ByteBuffer;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Moving the elements of constants: joining, picking, repeating. */
final class ConstantLayout {
  private ConstantLayout() {}

  /** Where each element of a result comes from. */
  @FunctionalInterface
  private interface Origin {
    long of(long[] index);
  }

  private static @Nullable Tensor gathered(Tensor x, long[] shape, Origin origin) {
    int width = x.dtype().bits() / 8;
    if (width == 0) {
      return null;
    }
    ByteBuffer in = x.data();
    ByteBuffer out = Tensor.allocate(Tensor.elements(shape) * width);
    long[] index = new long[shape.length];
    byte[] element = new byte[width];
    while (out.hasRemaining()) {
      in.get((int) (origin.of(index) * width), element);
      out.put(element);
      for (int axis = shape.length - 1; axis >= 0 && ++index[axis] == shape[axis]; axis--) {
        index[axis] = 0;
      }
    }
    return Tensor.of(x.dtype(), shape, out.flip());
  }

  private static long[] strides(long[] shape) {
    long[] strides = new long[shape.length];
    long stride = 1;
    for (int i = shape.length - 1; i >= 0; i--) {
      strides[i] = stride;
      stride *= shape[i];
    }
    return strides;
  }

  static Tensor expand(Tensor x, long[] shape) {
    if (java.util.Arrays.equals(x.shape(), shape)) {
      return x;
    }
    long[] strides = strides(x.shape());
    int shift = shape.length - x.rank();
    Tensor result =
        gathered(
            x,
            shape,
            index -> {
              long from = 0;
              for (int i = 0; i < strides.length; i++) {
                from += x.dim(i) == 1 ? 0 : index[i + shift] * strides[i];
              }
              return from;
            });
    if (result == null) {
      throw new IllegalArgumentException("cannot expand " + x);
    }
    return result;
  }

  static @Nullable Tensor gather(Tensor x, Tensor indices, int axis) {
    int at = TensorShapes.axis(axis, x.rank());
    long[] picks = indices.toLongs();
    long[] shape = new long[x.rank() - 1 + indices.rank()];
    for (int i = 0; i < shape.length; i++) {
      shape[i] =
          i < at
              ? x.dim(i)
              : i < at + indices.rank() ? indices.dim(i - at) : x.dim(i - indices.rank() + 1);
    }
    long[] strides = strides(x.shape());
    long[] pickStrides = strides(indices.shape());
    return gathered(
        x,
        shape,
        index -> {
          long from = 0;
          long pick = 0;
          for (int i = 0; i < index.length; i++) {
            if (i < at) {
              from += index[i] * strides[i];
            } else if (i < at + pickStrides.length) {
              pick += index[i] * pickStrides[i - at];
            } else {
              from += index[i] * strides[i - pickStrides.length + 1];
            }
          }
          long chosen = picks[(int) pick];
          return from + (chosen < 0 ? chosen + x.dim(at) : chosen) * strides[at];
        });
  }

  static @Nullable Tensor concat(List<Tensor> parts, int axis) {
    Tensor first = parts.get(0);
    int at = TensorShapes.axis(axis, first.rank());
    int width = first.dtype().bits() / 8;
    if (width == 0 || parts.stream().anyMatch(p -> p.dtype() != first.dtype())) {
      return null;
    }
    long[] shape = first.shape();
    shape[at] = parts.stream().mapToLong(p -> p.dim(at)).sum();
    ByteBuffer out = Tensor.allocate(Tensor.elements(shape) * width);
    long outer = 1;
    for (int i = 0; i < at; i++) {
      outer *= shape[i];
    }
    for (int block = 0; block < outer; block++) {
      for (Tensor part : parts) {
        int bytes = (int) (part.byteSize() / outer);
        out.put(part.data().slice(block * bytes, bytes));
      }
    }
    return Tensor.of(first.dtype(), shape, out.flip());
  }

  static @Nullable Tensor slice(Tensor x, List<Tensor> in) {
    long[] starts = in.get(1).toLongs();
    long[] ends = in.get(2).toLongs();
    long[] axes = in.size() > 3 ? in.get(3).toLongs() : null;
    long[] steps = in.size() > 4 ? in.get(4).toLongs() : null;
    long[] from = new long[x.rank()];
    long[] step = new long[x.rank()];
    java.util.Arrays.fill(step, 1);
    long[] shape = x.shape();
    for (int i = 0; i < starts.length; i++) {
      int axis = TensorShapes.axis(axes == null ? i : axes[i], x.rank());
      step[axis] = steps == null ? 1 : steps[i];
      if (step[axis] < 1) {
        return null;
      }
      long size = x.dim(axis);
      from[axis] = clamp(starts[i], size);
      long length = Math.max(0, clamp(ends[i], size) - from[axis]);
      shape[axis] = (length + step[axis] - 1) / step[axis];
    }
    long[] strides = strides(x.shape());
    return gathered(
        x,
        shape,
        index -> {
          long origin = 0;
          for (int i = 0; i < index.length; i++) {
            origin += (from[i] + index[i] * step[i]) * strides[i];
          }
          return origin;
        });
  }

  private static long clamp(long position, long size) {
    return Math.max(0, Math.min(size, position < 0 ? position + size : position));
  }

  static @Nullable Tensor where(Tensor condition, Tensor yes, Tensor no) {
    if (yes.dtype() != no.dtype()) {
      return null;
    }
    long[] shape =
        TensorShapes.broadcast(TensorShapes.broadcast(condition.shape(), yes.shape()), no.shape());
    long[] choice = expand(condition.cast(DType.INT64), shape).toLongs();
    Tensor both =
        concat(
            List.of(
                expand(yes, shape).reshaped(Tensor.elements(shape)),
                expand(no, shape).reshaped(Tensor.elements(shape))),
            0);
    if (both == null) {
      return null;
    }
    long[] picks = new long[choice.length];
    for (int i = 0; i < picks.length; i++) {
      picks[i] = choice[i] != 0 ? i : (long) picks.length + i;
    }
    return gather(both, Tensor.ofLongs(shape, picks), 0);
  }
}
