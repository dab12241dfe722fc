package io.peft4j.adapters.linear;

import io.peft4j.graph.Tensor;

/** Orthogonal matrices out of parameters, by Cayley's formula (I − Q)(I + Q)⁻¹ with Q = −Qᵀ. */
public final class Rotations {
  private Rotations() {}

  /**
   * Skew-symmetric matrices out of their upper triangles.
   *
   * @param upper [blocks, size (size − 1) / 2], row by row
   * @return [blocks, size, size]
   */
  public static Expression skew(AdaptedLinear layer, Expression upper, int size) {
    long[] places = new long[size * size];
    float[] signs = new float[size * size];
    int next = 0;
    for (int row = 0; row < size; row++) {
      for (int column = row + 1; column < size; column++) {
        places[row * size + column] = next;
        signs[row * size + column] = 1;
        places[column * size + row] = next++;
        signs[column * size + row] = -1;
      }
    }
    Expression index =
        layer.constant("skew_places", Tensor.ofLongs(new long[] {(long) size * size}, places));
    Expression sign =
        layer.constant("skew_signs", Tensor.ofFloats(new long[] {(long) size * size}, signs));
    return upper.gathered(1, index).times(sign).reshaped(-1, size, size);
  }

  /**
   * @param skew [blocks, size, size]
   */
  public static Expression cayley(AdaptedLinear layer, Expression skew, int size) {
    Expression identity = identity(layer, size);
    return identity.minus(skew).matmul(identity.plus(skew).inverse());
  }

  /**
   * Cayley's formula by the first terms of the Neumann series of (I − Q)⁻¹ (1 + 2Q + 2Q² + … +
   * Qⁿ⁻¹), as PEFT has it: no inverse, not quite orthogonal.
   */
  public static Expression neumann(AdaptedLinear layer, Expression skew, int size, int terms) {
    Expression sum = identity(layer, size);
    if (terms > 1) {
      sum = sum.plus(skew.times(2));
    }
    if (terms > 2) {
      Expression power = skew.matmul(skew);
      sum = sum.plus(power.times(2));
      for (int i = 3; i < terms - 1; i++) {
        power = power.matmul(skew);
        sum = sum.plus(power.times(2));
      }
      sum = sum.plus(power.matmul(skew));
    }
    return sum;
  }

  /**
   * Rotations of which training leaves some out: each for itself with a probability, where PEFT
   * draws which of a fixed number. A single one always counts, as in PEFT.
   *
   * @param rotations [blocks, size, size]
   */
  public static Expression dropped(
      AdaptedLinear layer, Expression rotations, int blocks, int size, double probability) {
    if (probability == 0 || blocks == 1) {
      return rotations;
    }
    Expression identity = identity(layer, size);
    Expression kept = layer.kept(probability, blocks, 1, 1);
    return rotations.minus(identity).times(kept).plus(identity);
  }

  private static Expression identity(AdaptedLinear layer, int size) {
    return layer.constant("identity", AdaptedLinear.identity(size));
  }

  /**
   * W with each run of inputs rotated: x R Wᵀ = x (W Rᵀ)ᵀ.
   *
   * @param rotations [in / size, size, size], or [1, size, size] for the same everywhere
   * @return [out, in]
   */
  public static Expression rotated(AdaptedLinear layer, Expression rotations, int size) {
    int blocks = layer.in() / size;
    return layer
        .weight()
        .reshaped(layer.out(), blocks, size)
        .transposed(1, 0, 2)
        .matmul(rotations.transposed(0, 2, 1))
        .transposed(1, 0, 2)
        .reshaped(layer.out(), layer.in());
  }
}
