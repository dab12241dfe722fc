package io.peft4j.compress.quantize;

import io.peft4j.graph.Tensor;
import io.peft4j.graph.passes.Dequantization;
import org.jspecify.annotations.Nullable;

/**
 * A tensor in few bits, with the meaning of ONNX's DequantizeLinear: (value − zero) · scale in
 * float32.
 *
 * @param values integers, of the tensor's shape
 * @param scale float32: one number for each index of {@code axis} or, with blocks, of {@code
 *     values}' shape with {@code axis} divided by {@code block}
 * @param zero of {@code values}' type and {@code scale}'s shape; null for 0
 * @param axis the axis that scales differ along
 * @param block how many elements along the axis share a scale; 0 for one scale an index
 */
public record QuantizedTensor(
    Tensor values, Tensor scale, @Nullable Tensor zero, int axis, int block) {

  /** The numbers that the integers stand for, float32. Made when first looked at. */
  public Tensor dequantized() {
    return Dequantization.linear(values, scale, zero, axis, block);
  }
}
