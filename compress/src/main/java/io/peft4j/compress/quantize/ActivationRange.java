package io.peft4j.compress.quantize;

import io.peft4j.PeftException;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.nio.ByteBuffer;

/**
 * What 8 bits of a value span: numbers outside are cut off. Holds 0.
 *
 * @param low 0 or below
 * @param high 0 or above
 */
public record ActivationRange(double low, double high) {
  private static final int STEPS = 255;

  public ActivationRange {
    if (!(low <= 0 && high >= 0) || Double.isInfinite(high - low)) {
      throw new PeftException(
          "a range must hold 0 and be finite, was %s to %s".formatted(low, high));
    }
  }

  /** The range from the one number to the other, widened to hold 0. */
  public static ActivationRange of(double low, double high) {
    return new ActivationRange(Math.min(0, low), Math.max(0, high));
  }

  /** The size of a step; 1 where all is 0. */
  public float scale() {
    float scale = (float) ((high - low) / STEPS);
    return scale > 0 ? scale : 1;
  }

  /** The step that stands for 0, from 0 to 255. */
  public int zero() {
    return (int) Math.max(0, Math.min(STEPS, Math.rint(-low / scale())));
  }

  Tensor zeroTensor() {
    ByteBuffer zero = Tensor.allocate(1).put(0, (byte) zero());
    return Tensor.of(DType.UINT8, new long[0], zero);
  }

  /** What is left of a number in this range. */
  double rounded(double number) {
    double steps = Math.rint(number / scale()) + zero();
    return (Math.max(0, Math.min(STEPS, steps)) - zero()) * scale();
  }
}
