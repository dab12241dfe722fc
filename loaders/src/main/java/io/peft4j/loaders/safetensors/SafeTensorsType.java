package io.peft4j.loaders.safetensors;

import io.peft4j.graph.DType;
import java.util.Arrays;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The element types of SafeTensors files under the names that stand in the header. The order is the
 * one that the reference implementation lays tensors out by, last type first.
 */
enum SafeTensorsType {
  BOOL(DType.BOOL),
  F4(DType.FLOAT4E2M1),
  F6_E2M3(DType.FLOAT6E2M3),
  F6_E3M2(DType.FLOAT6E3M2),
  U8(DType.UINT8),
  I8(DType.INT8),
  F8_E5M2(DType.FLOAT8E5M2),
  F8_E4M3(DType.FLOAT8E4M3FN),
  F8_E8M0(DType.FLOAT8E8M0),
  I16(DType.INT16),
  U16(DType.UINT16),
  F16(DType.FLOAT16),
  BF16(DType.BFLOAT16),
  I32(DType.INT32),
  U32(DType.UINT32),
  F32(DType.FLOAT32),
  C64(DType.COMPLEX64),
  F64(DType.FLOAT64),
  I64(DType.INT64),
  U64(DType.UINT64);

  private final DType dtype;

  SafeTensorsType(DType dtype) {
    this.dtype = dtype;
  }

  DType dtype() {
    return dtype;
  }

  /** The type of this name; null if SafeTensors has none. */
  static @Nullable SafeTensorsType named(String name) {
    return Arrays.stream(values()).filter(t -> t.name().equals(name)).findFirst().orElse(null);
  }

  /** The type that holds these elements; null if SafeTensors has none. */
  static @Nullable SafeTensorsType of(DType dtype) {
    return Arrays.stream(values()).filter(t -> t.dtype == dtype).findFirst().orElse(null);
  }

  static String names() {
    return Arrays.stream(values()).map(Enum::name).collect(Collectors.joining(", "));
  }
}
