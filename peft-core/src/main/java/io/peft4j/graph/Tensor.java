package io.peft4j.graph;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.base.Suppliers;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.function.Supplier;

/**
 * An immutable array of numbers: element type, shape, and little-endian row-major data. The data
 * may be a slice of a mapped file, a heap buffer, or made on first use; looking at it never copies
 * it.
 */
public final class Tensor {
  private final DType dtype;
  private final long[] shape;
  private final Supplier<ByteBuffer> data;

  private Tensor(DType dtype, long[] shape, Supplier<ByteBuffer> data) {
    this.dtype = dtype;
    this.shape = shape;
    this.data = data;
  }

  /**
   * A tensor over the remaining bytes of a buffer, which is not copied and must not change
   * afterwards.
   *
   * @throws IllegalArgumentException if the buffer does not hold exactly the bytes of the shape
   */
  public static Tensor of(DType dtype, long[] shape, ByteBuffer data) {
    ByteBuffer view = readable(data);
    check(dtype, shape, view);
    return new Tensor(dtype, shape.clone(), () -> view);
  }

  /** A tensor whose data is made when first asked for, and kept. */
  public static Tensor lazy(DType dtype, long[] shape, Supplier<ByteBuffer> data) {
    long[] own = shape.clone();
    com.google.common.base.Supplier<ByteBuffer> once =
        Suppliers.memoize(
            () -> {
              ByteBuffer view = readable(data.get());
              check(dtype, own, view);
              return view;
            });
    return new Tensor(dtype, own, once);
  }

  private static ByteBuffer readable(ByteBuffer data) {
    return data.slice().asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN);
  }

  private static void check(DType dtype, long[] shape, ByteBuffer view) {
    checkArgument(
        dtype == DType.STRING || view.remaining() == dtype.bytes(elements(shape)),
        "%s %s needs %s bytes, was given %s",
        dtype.label(),
        Arrays.toString(shape),
        dtype.bytes(elements(shape)),
        view.remaining());
  }

  /** float32 values of the given shape, row by row. */
  public static Tensor ofFloats(long[] shape, float... values) {
    ByteBuffer buffer = allocate(4L * values.length);
    buffer.asFloatBuffer().put(values);
    return of(DType.FLOAT32, shape, buffer);
  }

  /** float64 values of the given shape, row by row. */
  public static Tensor ofDoubles(long[] shape, double... values) {
    ByteBuffer buffer = allocate(8L * values.length);
    buffer.asDoubleBuffer().put(values);
    return of(DType.FLOAT64, shape, buffer);
  }

  /** int64 values of the given shape, row by row. */
  public static Tensor ofLongs(long[] shape, long... values) {
    ByteBuffer buffer = allocate(8L * values.length);
    buffer.asLongBuffer().put(values);
    return of(DType.INT64, shape, buffer);
  }

  /** One float32 number, shape []. */
  public static Tensor scalar(float value) {
    return ofFloats(new long[0], value);
  }

  /** One int64 number, shape []. */
  public static Tensor scalar(long value) {
    return ofLongs(new long[0], value);
  }

  /** int64 values of shape [n]. */
  public static Tensor vector(long... values) {
    return ofLongs(new long[] {values.length}, values);
  }

  /** All elements zero. */
  public static Tensor zeros(DType dtype, long... shape) {
    return lazy(dtype, shape, () -> allocate(dtype.bytes(elements(shape))));
  }

  /**
   * A new writable little-endian buffer for tensor data; direct, so that an engine can use it
   * without a copy.
   */
  public static ByteBuffer allocate(long bytes) {
    checkArgument(
        bytes <= Integer.MAX_VALUE, "a tensor of %s bytes is over the limit of 2 GiB", bytes);
    return ByteBuffer.allocateDirect((int) bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The product of the sizes; 1 for a scalar. */
  public static long elements(long... shape) {
    long product = 1;
    for (long size : shape) {
      product = Math.multiplyExact(product, size);
    }
    return product;
  }

  public DType dtype() {
    return dtype;
  }

  /** The sizes, a copy. */
  public long[] shape() {
    return shape.clone();
  }

  public int rank() {
    return shape.length;
  }

  /** The size of one axis; a negative axis counts from the last. */
  public long dim(int axis) {
    return shape[axis < 0 ? axis + shape.length : axis];
  }

  /** How many elements there are. */
  public long size() {
    return elements(shape);
  }

  /** How many bytes the elements take. */
  public long byteSize() {
    return dtype == DType.STRING ? data().remaining() : dtype.bytes(size());
  }

  /** A read-only little-endian view of all the bytes, at position 0. */
  public ByteBuffer data() {
    return data.get().duplicate().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The same data under another shape of equal size. */
  public Tensor reshaped(long... newShape) {
    checkArgument(
        elements(newShape) == size(),
        "%s cannot be reshaped to %s",
        Arrays.toString(shape),
        Arrays.toString(newShape));
    return new Tensor(dtype, newShape.clone(), data);
  }

  /**
   * The same numbers in another type, each rounded once to nearest. To an integer type fractions
   * are cut off as a C cast does; to bool everything but zero is true. Made when first looked at.
   */
  public Tensor cast(DType target) {
    return target == dtype
        ? this
        : lazy(target, shape, () -> TensorElements.converted(this, target));
  }

  /** The axes in another order, as numpy's transpose. Made when first looked at. */
  public Tensor transposed(int... permutation) {
    return TensorElements.transposed(this, permutation);
  }

  /** The entries of one axis that are named, in that order. Made when first looked at. */
  public Tensor selected(int axis, int... entries) {
    return TensorElements.selected(this, axis, entries);
  }

  /** All elements as float, row by row. */
  public float[] toFloats() {
    float[] result = new float[Math.toIntExact(size())];
    ByteBuffer bytes = data();
    if (dtype == DType.FLOAT32) {
      bytes.asFloatBuffer().get(result);
    } else {
      for (int i = 0; i < result.length; i++) {
        result[i] = (float) TensorElements.number(dtype, bytes, i);
      }
    }
    return result;
  }

  /** All elements as double, row by row. */
  public double[] toDoubles() {
    double[] result = new double[Math.toIntExact(size())];
    ByteBuffer bytes = data();
    for (int i = 0; i < result.length; i++) {
      result[i] = TensorElements.number(dtype, bytes, i);
    }
    return result;
  }

  /** All elements as long, row by row; fractions are cut off. */
  public long[] toLongs() {
    long[] result = new long[Math.toIntExact(size())];
    ByteBuffer bytes = data();
    for (int i = 0; i < result.length; i++) {
      result[i] = TensorElements.integer(dtype, bytes, i);
    }
    return result;
  }

  /** The only element of a tensor of size 1. */
  public double item() {
    checkArgument(size() == 1, "item() of a tensor of shape %s", Arrays.toString(shape));
    return TensorElements.number(dtype, data(), 0);
  }

  /** Whether type, shape and every byte are equal. */
  public boolean contentEquals(Tensor other) {
    return dtype == other.dtype && Arrays.equals(shape, other.shape) && data().equals(other.data());
  }

  /** Type and shape, for example {@code float32[384,1536]}. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder(dtype.label()).append('[');
    for (int i = 0; i < shape.length; i++) {
      text.append(i == 0 ? "" : ",").append(shape[i]);
    }
    return text.append(']').toString();
  }
}
