package io.peft4j.compress.quantize;

import static com.google.common.base.Preconditions.checkArgument;

import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.nio.ByteBuffer;

/** Numbers in 4 or 8 bits, groups of them sharing a scale and a zero point. */
final class Groups {
  private Groups() {}

  /**
   * Asymmetric: lo = min(0, min), hi = max(0, max), scale = (hi − lo) / n (1 where all is zero),
   * zero = round(−lo / scale), value = round(w / scale) + zero; n = 15 or 255.
   *
   * @param axis that groups lie along
   * @param group how many elements share a scale; the last group may have fewer
   * @param type {@link DType#UINT4} or {@link DType#UINT8}
   */
  static QuantizedTensor of(Tensor weight, int axis, int group, DType type) {
    int largest = (1 << type.bits()) - 1;
    checkArgument(axis >= 0 && axis < weight.rank(), "%s has no axis %s", weight, axis);
    float[] numbers = weight.toFloats();
    int length = Math.toIntExact(weight.dim(axis));
    int inner = 1;
    for (int i = axis + 1; i < weight.rank(); i++) {
      inner *= Math.toIntExact(weight.dim(i));
    }
    long[] shape = weight.shape();
    shape[axis] = ((long) length + group - 1) / group;
    int groups = Math.toIntExact(Tensor.elements(shape));
    int[] place = new int[numbers.length];
    float[] low = new float[groups];
    float[] high = new float[groups];
    for (int i = 0; i < numbers.length; i++) {
      int along = i / inner % length / group;
      int at = (int) ((i / inner / length * shape[axis] + along) * inner + i % inner);
      place[i] = at;
      low[at] = Math.min(low[at], numbers[i]);
      high[at] = Math.max(high[at], numbers[i]);
    }
    float[] scale = new float[groups];
    byte[] zero = new byte[groups];
    for (int g = 0; g < groups; g++) {
      scale[g] = high[g] == low[g] ? 1 : (high[g] - low[g]) / largest;
      zero[g] = (byte) (int) Math.rint(-low[g] / scale[g]);
    }
    byte[] values = new byte[numbers.length];
    for (int i = 0; i < numbers.length; i++) {
      double steps = Math.rint(numbers[i] / scale[place[i]]) + (zero[place[i]] & 0xff);
      values[i] = (byte) (int) Math.max(0, Math.min(largest, steps));
    }
    return new QuantizedTensor(
        packed(type, weight.shape(), values),
        Tensor.ofFloats(shape, scale),
        packed(type, shape, zero),
        axis,
        group);
  }

  /** Small numbers, 4-bit ones two a byte, the first in the low bits. */
  static Tensor packed(DType type, long[] shape, byte[] values) {
    if (type == DType.UINT8) {
      return Tensor.of(type, shape, ByteBuffer.wrap(values));
    }
    ByteBuffer bytes = Tensor.allocate(type.bytes(values.length));
    for (int i = 0; i < values.length; i++) {
      bytes.put(i / 2, (byte) (bytes.get(i / 2) | (values[i] << (i % 2 * 4))));
    }
    return Tensor.of(type, shape, bytes);
  }
}
