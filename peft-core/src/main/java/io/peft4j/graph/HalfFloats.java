package io.peft4j.graph;

/**
 * Conversions between float and the two 16-bit formats, rounding to nearest with ties to even (IEEE
 * 754).
 */
public final class HalfFloats {
  private HalfFloats() {}

  /** The value of IEEE half-precision bits. */
  public static float fromFloat16(short half) {
    int sign = (half & 0x8000) << 16;
    int exponent = (half >>> 10) & 0x1f;
    int mantissa = half & 0x3ff;
    if (exponent == 0x1f) {
      return Float.intBitsToFloat(sign | 0x7f800000 | mantissa << 13);
    }
    if (exponent == 0) {
      float magnitude = mantissa * 0x1p-24f;
      return sign == 0 ? magnitude : -magnitude;
    }
    return Float.intBitsToFloat(sign | (exponent + 112) << 23 | mantissa << 13);
  }

  /** IEEE half-precision bits nearest to the value; magnitudes from 65520 on become infinite. */
  public static short toFloat16(double value) {
    long bits = Double.doubleToRawLongBits(value);
    int sign = (int) (bits >>> 48) & 0x8000;
    double magnitude = Math.abs(value);
    if (Double.isNaN(value)) {
      return (short) (sign | 0x7e00);
    }
    if (magnitude >= 65520.0) {
      return (short) (sign | 0x7c00);
    }
    if (magnitude < 0x1p-14) { // subnormal: multiples of 2^-24
      return (short) (sign | (int) Math.rint(magnitude * 0x1p24));
    }
    int exponent = Math.getExponent(magnitude);
    int mantissa = (int) Math.rint(magnitude * Math.scalb(1.0, 10 - exponent)); // 1024 to 2048
    return (short) (sign | (((exponent + 14) << 10) + mantissa));
  }

  /** The value of bfloat16 bits. */
  public static float fromBfloat16(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /** The bfloat16 bits nearest to the value. A double is rounded once, not by way of float. */
  public static short toBfloat16(double value) {
    if (Double.isNaN(value)) {
      return (short) 0x7fc0;
    }
    int sign = (int) (Double.doubleToRawLongBits(value) >>> 48) & 0x8000;
    double magnitude = Math.abs(value);
    if (magnitude < 0x1p-126) { // subnormal: multiples of 2^-133
      return (short) (sign | (int) Math.rint(magnitude * 0x1p133));
    }
    if (Double.isInfinite(magnitude)) {
      return (short) (sign | 0x7f80);
    }
    int exponent = Math.getExponent(magnitude);
    if (exponent > 127) {
      return (short) (sign | 0x7f80);
    }
    int mantissa = (int) Math.rint(magnitude * Math.scalb(1.0, 7 - exponent)); // 128 to 256
    return (short) (sign | (((exponent + 126) << 7) + mantissa));
  }
}
