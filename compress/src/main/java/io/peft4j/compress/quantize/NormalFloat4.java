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
    -0.6961928f,
    -0.52507305f,
    -0.3949175f,
    -0.28444138f,
    -0.18477343f,
    -0.091050036f,
    0f,
    0.0795803f,
    0.1609302f,
    0.2461123f,
    0.33791524f,
    0.44070983f,
    0.562617f,
    0.72295684f,
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
