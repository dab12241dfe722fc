package io.peft4j.compress.quantize;

import static com.google.common.base.Preconditions.checkArgument;

import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.nio.ByteBuffer;

/** Weights in 8 bits with a scale for each channel. */
public final class Int8Channels {
  private static final int FULL = 127;

  /**
   * With weights up to 64 two products of an unsigned and a signed byte fit into the 16 bits that
   * processors without VNNI add them in: 2 · 255 · 64 &lt; 2¹⁵.
   */
  private static final int REDUCED = 64;

  private Int8Channels() {}

  /**
   * Symmetric: scale = max |w| / 127 (1 where all is zero), value = round half to even (w / scale).
   *
   * @param weight floating point
   * @param axis of the channels
   * @param reduced whether values end at 64 rather than 127
   * @return int8 values
   */
  public static QuantizedTensor symmetric(Tensor weight, int axis, boolean reduced) {
    int limit = reduced ? REDUCED : FULL;
    float[] numbers = weight.toFloats();
    Channels channels = new Channels(weight, axis);
    float[] scale = new float[channels.count()];
    for (int i = 0; i < numbers.length; i++) {
      int channel = channels.of(i);
      scale[channel] = Math.max(scale[channel], Math.abs(numbers[i]));
    }
    for (int c = 0; c < scale.length; c++) {
      scale[c] = scale[c] == 0 ? 1 : scale[c] / limit;
    }
    ByteBuffer values = Tensor.allocate(numbers.length);
    for (int i = 0; i < numbers.length; i++) {
      double steps = Math.rint(numbers[i] / scale[channels.of(i)]);
      values.put(i, (byte) Math.max(-limit, Math.min(limit, steps)));
    }
    return new QuantizedTensor(
        Tensor.of(DType.INT8, weight.shape(), values),
        Tensor.ofFloats(new long[] {scale.length}, scale),
        null,
        axis,
        0);
  }

  /**
   * Asymmetric: lo = min(0, min), hi = max(0, max), scale = (hi − lo) / 255 (1 where all is zero),
   * zero = round(−lo / scale), value = round(w / scale) + zero.
   *
   * @return uint8 values
   */
  public static QuantizedTensor asymmetric(Tensor weight, int axis) {
    float[] numbers = weight.toFloats();
    Channels channels = new Channels(weight, axis);
    float[] low = new float[channels.count()];
    float[] high = new float[channels.count()];
    for (int i = 0; i < numbers.length; i++) {
      int channel = channels.of(i);
      low[channel] = Math.min(low[channel], numbers[i]);
      high[channel] = Math.max(high[channel], numbers[i]);
    }
    float[] scale = new float[low.length];
    ByteBuffer zero = Tensor.allocate(low.length);
    for (int c = 0; c < scale.length; c++) {
      scale[c] = high[c] == low[c] ? 1 : (high[c] - low[c]) / 255;
      zero.put(c, (byte) (int) Math.rint(-low[c] / scale[c]));
    }
    ByteBuffer values = Tensor.allocate(numbers.length);
    for (int i = 0; i < numbers.length; i++) {
      int channel = channels.of(i);
      double steps = Math.rint(numbers[i] / scale[channel]) + (zero.get(channel) & 0xff);
      values.put(i, (byte) (int) Math.max(0, Math.min(255, steps)));
    }
    return new QuantizedTensor(
        Tensor.of(DType.UINT8, weight.shape(), values),
        Tensor.ofFloats(new long[] {scale.length}, scale),
        Tensor.of(DType.UINT8, new long[] {scale.length}, zero),
        axis,
        0);
  }

  /** Which channel an element is of. */
  private record Channels(int count, int inner) {
    Channels(Tensor weight, int axis) {
      this(Math.toIntExact(weight.dim(axis)), inner(weight, axis));
    }

    private static int inner(Tensor weight, int axis) {
      checkArgument(axis >= 0 && axis < weight.rank(), "%s has no axis %s", weight, axis);
      long inner = 1;
      for (int i = axis + 1; i < weight.rank(); i++) {
        inner *= weight.dim(i);
      }
      return Math.toIntExact(inner);
    }

    int of(int element) {
      return element / inner % count;
    }
  }
}
