package io.peft4j.graph;

import io.peft4j.UnsupportedModelException;
import java.util.Locale;

/**
 * Element types of tensors: all that ONNX and SafeTensors can carry. Numbers in {@link #FLOAT16},
 * {@link #BFLOAT16} and wider types can be read and converted; the rest is carried as bytes.
 */
public enum DType {
  FLOAT32(1, 32),
  UINT8(2, 8),
  INT8(3, 8),
  UINT16(4, 16),
  INT16(5, 16),
  INT32(6, 32),
  INT64(7, 64),
  STRING(8, 0),
  BOOL(9, 8),
  FLOAT16(10, 16),
  FLOAT64(11, 64),
  UINT32(12, 32),
  UINT64(13, 64),
  COMPLEX64(14, 64),
  COMPLEX128(15, 128),
  BFLOAT16(16, 16),
  FLOAT8E4M3FN(17, 8),
  FLOAT8E4M3FNUZ(18, 8),
  FLOAT8E5M2(19, 8),
  FLOAT8E5M2FNUZ(20, 8),
  UINT4(21, 4),
  INT4(22, 4),
  FLOAT4E2M1(23, 4),
  FLOAT8E8M0(24, 8),
  FLOAT6E2M3(0, 6),
  FLOAT6E3M2(0, 6);

  private final int onnxCode;
  private final int bits;

  DType(int onnxCode, int bits) {
    this.onnxCode = onnxCode;
    this.bits = bits;
  }

  /** The number of {@code TensorProto.DataType}, 0 for types that ONNX does not have. */
  public int onnxCode() {
    return onnxCode;
  }

  /** Bits an element; 0 for {@link #STRING}, whose elements differ in length. */
  public int bits() {
    return bits;
  }

  /**
   * Bytes that {@code elements} of this type take, packed without gaps and rounded up to whole
   * bytes.
   */
  public long bytes(long elements) {
    return bits >= 8
        ? Math.multiplyExact(elements, bits / 8)
        : (Math.multiplyExact(elements, bits) + 7) / 8;
  }

  /**
   * Whether gradients can flow through tensors of this type: floating point of 16 bits and more.
   */
  public boolean isFloat() {
    return switch (this) {
      case FLOAT32, FLOAT64, FLOAT16, BFLOAT16 -> true;
      default -> false;
    };
  }

  /** Whether the elements are whole numbers of 8 to 64 bits. */
  public boolean isInteger() {
    return switch (this) {
      case INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64 -> true;
      default -> false;
    };
  }

  /**
   * The type with this number in ONNX files.
   *
   * @throws UnsupportedModelException if no type has this number
   */
  public static DType ofOnnxCode(int code) {
    for (DType type : values()) {
      if (type.onnxCode == code && code != 0) {
        return type;
      }
    }
    throw new UnsupportedModelException(
        "tensor data type " + code + " is unknown; ONNX types up to 24 are supported");
  }

  /** The name as reports print it, for example {@code float32}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
