package io.peft4j.loaders.onnx;

import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import io.peft4j.CheckpointFormatException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * Tensors of ONNX files in each of their encodings. Elements of string tensors are kept as a
 * four-byte length and the bytes, one behind the other.
 */
final class TensorProtos {
  private final Path file;
  private final ExternalData external;

  TensorProtos(Path file) {
    this.file = file;
    this.external = new ExternalData(file);
  }

  /**
   * Reads a tensor; raw bytes are looked at where they are.
   *
   * @param where which tensor it is, for messages
   */
  Tensor read(TensorProto proto, String where) {
    DType dtype = dtype(proto.getDataType(), where);
    long[] shape = shape(proto, where);
    if (proto.hasSegment()) {
      throw damaged(where, "is stored in segments, which no ONNX version uses");
    }
    if (dtype == DType.STRING) {
      return Tensor.of(dtype, shape, strings(proto, shape, where));
    }
    long bytes = bytes(dtype, shape, where);
    if (proto.getDataLocation() == TensorProto.DataLocation.EXTERNAL) {
      return Tensor.of(dtype, shape, external.map(where, entries(proto), bytes));
    }
    if (proto.hasRawData()) {
      ByteString raw = proto.getRawData();
      requireSize(where, raw.size(), bytes, "bytes");
      return Tensor.of(dtype, shape, raw.asReadOnlyByteBuffer());
    }
    return Tensor.of(dtype, shape, typed(proto, dtype, shape, bytes, where));
  }

  /** The type of this number. */
  DType dtype(int code, String where) {
    try {
      return DType.ofOnnxCode(code);
    } catch (UnsupportedModelException e) {
      throw new UnsupportedModelException(
          "%s: tensor '%s': %s".formatted(file, where, e.getMessage()), e);
    }
  }

  private long[] shape(TensorProto proto, String where) {
    long[] shape = proto.getDimsList().stream().mapToLong(Long::longValue).toArray();
    for (long size : shape) {
      if (size < 0) {
        throw damaged(where, "has an axis of size " + size);
      }
    }
    return shape;
  }

  private long bytes(DType dtype, long[] shape, String where) {
    try {
      return dtype.bytes(Tensor.elements(shape));
    } catch (ArithmeticException e) {
      throw damaged(where, "has a shape whose product is over 2^63");
    }
  }

  private static Map<String, String> entries(TensorProto proto) {
    Map<String, String> entries = new HashMap<>();
    for (StringStringEntryProto entry : proto.getExternalDataList()) {
      entries.put(entry.getKey(), entry.getValue());
    }
    return entries;
  }

  private ByteBuffer strings(TensorProto proto, long[] shape, String where) {
    List<ByteString> values = proto.getStringDataList();
    requireSize(where, values.size(), Tensor.elements(shape), "strings");
    long bytes = values.stream().mapToLong(v -> 4L + v.size()).sum();
    ByteBuffer buffer = Tensor.allocate(bytes);
    for (ByteString value : values) {
      buffer.putInt(value.size());
      value.copyTo(buffer);
    }
    return buffer.flip();
  }

  /** The elements out of the field for their type. */
  private ByteBuffer typed(TensorProto proto, DType dtype, long[] shape, long bytes, String where) {
    long elements = Tensor.elements(shape);
    return switch (dtype) {
      case FLOAT32, COMPLEX64 ->
          filled(
              where,
              proto.getFloatDataCount(),
              dtype == DType.FLOAT32 ? elements : 2 * elements,
              bytes,
              buffer -> i -> buffer.putFloat(proto.getFloatData(i)));
      case FLOAT64, COMPLEX128 ->
          filled(
              where,
              proto.getDoubleDataCount(),
              dtype == DType.FLOAT64 ? elements : 2 * elements,
              bytes,
              buffer -> i -> buffer.putDouble(proto.getDoubleData(i)));
      case INT64 ->
          filled(
              where,
              proto.getInt64DataCount(),
              elements,
              bytes,
              buffer -> i -> buffer.putLong(proto.getInt64Data(i)));
      case UINT64 ->
          filled(
              where,
              proto.getUint64DataCount(),
              elements,
              bytes,
              buffer -> i -> buffer.putLong(proto.getUint64Data(i)));
      case UINT32 ->
          filled(
              where,
              proto.getUint64DataCount(),
              elements,
              bytes,
              buffer -> i -> buffer.putInt((int) proto.getUint64Data(i)));
      case INT32 ->
          filled(
              where,
              proto.getInt32DataCount(),
              elements,
              bytes,
              buffer -> i -> buffer.putInt(proto.getInt32Data(i)));
      case INT16, UINT16, FLOAT16, BFLOAT16 ->
          filled(
              where,
              proto.getInt32DataCount(),
              elements,
              bytes,
              buffer -> i -> buffer.putShort((short) proto.getInt32Data(i)));
      default -> // one byte an element, or two elements a byte
          filled(
              where,
              proto.getInt32DataCount(),
              bytes,
              bytes,
              buffer -> i -> buffer.put((byte) proto.getInt32Data(i)));
    };
  }

  /** Puts each element of a field into a buffer. */
  @FunctionalInterface
  private interface Filling {
    IntConsumer into(ByteBuffer buffer);
  }

  private ByteBuffer filled(String where, int count, long needed, long bytes, Filling filling) {
    requireSize(where, count, needed, "elements");
    ByteBuffer buffer = Tensor.allocate(bytes);
    IntConsumer put = filling.into(buffer);
    for (int i = 0; i < count; i++) {
      put.accept(i);
    }
    return buffer.flip();
  }

  private void requireSize(String where, long found, long needed, String what) {
    if (found != needed) {
      throw damaged(where, "holds %d %s, its shape needs %d".formatted(found, what, needed));
    }
  }

  private CheckpointFormatException damaged(String where, String what) {
    return new CheckpointFormatException(
        "%s: tensor '%s' %s; the file is damaged, get it again".formatted(file, where, what));
  }

  /** Name, type and shape, without the elements. */
  static TensorProto.Builder header(String name, Tensor tensor) {
    if (tensor.dtype().onnxCode() == 0) {
      throw new UnsupportedModelException(
          "tensor '%s' is %s, a type that ONNX does not have; convert it before export"
              .formatted(name, tensor.dtype().label()));
    }
    TensorProto.Builder proto =
        TensorProto.newBuilder().setName(name).setDataType(tensor.dtype().onnxCode());
    for (long size : tensor.shape()) {
      proto.addDims(size);
    }
    return proto;
  }

  /** A tensor with its elements; their bytes are not copied. */
  static TensorProto write(String name, Tensor tensor) {
    TensorProto.Builder proto = header(name, tensor);
    if (tensor.dtype() == DType.STRING) {
      ByteBuffer data = tensor.data();
      while (data.hasRemaining()) {
        int length = data.getInt();
        proto.addStringData(ByteString.copyFrom(data, length));
      }
      return proto.build();
    }
    return proto.setRawData(UnsafeByteOperations.unsafeWrap(tensor.data())).build();
  }
}
