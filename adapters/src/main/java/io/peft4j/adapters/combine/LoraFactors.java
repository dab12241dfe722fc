package io.peft4j.adapters.combine;

import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;

/**
 * The update s B A of one module.
 *
 * @param a [rank, …]
 * @param b [out, rank, …]
 * @param embedding whether the module is a table of vectors, whose keys differ
 */
record LoraFactors(Tensor a, Tensor b, double scale, boolean embedding) {
  int rank() {
    return Math.toIntExact(a.dim(0));
  }

  /** A as [rank, in], the axes of a convolution's kernel in one. */
  Matrix down() {
    int rank = rank();
    return Matrix.of(rank, Math.toIntExact(a.size() / rank), a.toDoubles());
  }

  /** B as [out, rank]. */
  Matrix up() {
    return Matrix.of(Math.toIntExact(b.dim(0)), rank(), b.toDoubles());
  }

  Matrix update() {
    return up().times(down()).scaled(scale);
  }

  /** Other factors of scale 1 at the same module, in float32. */
  LoraFactors with(Matrix down, Matrix up) {
    long[] shapeA = a.shape();
    shapeA[0] = down.rows();
    long[] shapeB = b.shape();
    shapeB[1] = up.columns();
    return new LoraFactors(
        down.toTensor(DType.FLOAT32).reshaped(shapeA),
        up.toTensor(DType.FLOAT32).reshaped(shapeB),
        1,
        embedding);
  }

  /** The key of A in a file. */
  String keyA(String module) {
    return keyA(module, embedding);
  }

  /** The key of B in a file. */
  String keyB(String module) {
    return keyB(module, embedding);
  }

  static String keyA(String module, boolean embedding) {
    return module + (embedding ? ".lora_embedding_A" : ".lora_A.weight");
  }

  static String keyB(String module, boolean embedding) {
    return module + (embedding ? ".lora_embedding_B" : ".lora_B.weight");
  }
}
