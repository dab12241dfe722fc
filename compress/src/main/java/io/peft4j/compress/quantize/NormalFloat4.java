package io.peft4j.compress.quantize;

import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.passes.Dequantization;
import java.util.Arrays;

/**
 * NF4 of QLoRA (Dettmers et al. 2023, arXiv 2305.14314): blocks of weights in row-major order, each
 * divided by its largest magnitude and rounded to the nearest of 16 quantiles of a normal
 * distribution.
 *
 * @param indices uint4 [blocks, block]; the last block is filled up with the code of 0
 * @param scale float32 [blocks]: the largest magnitudes
 * @param shape of the weight
 */
record NormalFloat4(Tensor indices, Tensor scale, long[] shape) {
  /** The codes as bitsandbytes has them. */
  private static final float[] CODES = {
    -1f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1f
  };

  private static final byte ZERO = 7;

  static Tensor codes() {
    return Tensor.ofFloats(new long[] {CODES.length}, CODES);
  }

  static NormalFloat4 of(Tensor weight, int block) {
    float[] numbers = weight.toFloats();
    int blocks = (numbers.length + block - 1) / block;
    float[] scale = new float[blocks];
    for (int i = 0; i < numbers.length; i++) {
      scale[i / block] = Math.max(scale[i / block], Math.abs(numbers[i]));
    }
    byte[] indices = new byte[blocks * block];
    Arrays.fill(indices, ZERO);
    for (int i = 0; i < numbers.length; i++) {
      float largest = scale[i / block];
      indices[i] = largest == 0 ? ZERO : nearest(numbers[i] / largest);
    }
    return new NormalFloat4(
        Groups.packed(DType.UINT4, new long[] {blocks, block}, indices),
        Tensor.ofFloats(new long[] {blocks}, scale),
        weight.shape());
  }

  private static byte nearest(float value) {
    int above = Arrays.binarySearch(CODES, value);
    if (above >= 0) {
      return (byte) above;
    }
    above = Math.max(1, Math.min(CODES.length - 1, -above - 1));
    return (byte) (value - CODES[above - 1] <= CODES[above] - value ? above - 1 : above);
  }

  int block() {
    return Math.toIntExact(indices.dim(1));
  }

  /** The numbers that the indices stand for, float32. */
  Tensor dequantized() {
    return Dequantization.codebook(indices, codes(), scale, block(), shape);
  }
}
