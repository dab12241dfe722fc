package io.peft4j.engine.torch;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import com.google.common.cache.Cache;
import com.google.common.cache.CacheBuilder;
import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Moves tensors between our memory and torch's. */
public final class TorchTensors {
  private TorchTensors() {}

  /**
   * Aligned copies of weights that lie unaligned in their files, kept as long as the weights are.
   */
  private static final Cache<Tensor, ByteBuffer> ALIGNED =
      CacheBuilder.newBuilder().weakKeys().build();

  /**
   * An array over the tensor's own memory where that is direct and aligned, else over a copy that
   * is kept for the next time. Never write to it.
   *
   * @throws UnsupportedModelException if torch cannot hold the type; some abort the JVM when passed
   *     on
   */
  static NDArray share(NDManager manager, Tensor tensor) {
    ByteBuffer data = tensor.data();
    boolean usable =
        data.isDirect() && data.alignmentOffset(0, Math.max(1, tensor.dtype().bits() / 8)) == 0;
    return array(manager, tensor, usable ? data : aligned(tensor));
  }

  private static ByteBuffer aligned(Tensor tensor) {
    ByteBuffer kept = ALIGNED.getIfPresent(tensor);
    if (kept == null) {
      kept = Tensor.allocate(tensor.byteSize()).put(tensor.data()).flip();
      ALIGNED.put(tensor, kept);
    }
    return kept.duplicate();
  }

  /** An array over a copy of the tensor, which may be written to. */
  public static NDArray copy(NDManager manager, Tensor tensor) {
    ByteBuffer own = Tensor.allocate(tensor.byteSize());
    own.put(tensor.data()).flip();
    return array(manager, tensor, own);
  }

  private static NDArray array(NDManager manager, Tensor tensor, ByteBuffer data) {
    DataType type = dataType(tensor.dtype());
    Shape shape = new Shape(tensor.shape());
    if (tensor.size() == 0) {
      return manager.zeros(shape, type);
    }
    return manager.create(data.order(ByteOrder.nativeOrder()), shape, type);
  }

  private static DataType dataType(DType dtype) {
    return switch (dtype) {
      case FLOAT32 -> DataType.FLOAT32;
      case FLOAT64 -> DataType.FLOAT64;
      case FLOAT16 -> DataType.FLOAT16;
      case INT64 -> DataType.INT64;
      case INT32 -> DataType.INT32;
      case INT8 -> DataType.INT8;
      case UINT8 -> DataType.UINT8;
      case BOOL -> DataType.BOOLEAN;
      default ->
          throw new UnsupportedModelException(
              "the PyTorch engine cannot compute with "
                  + dtype.label()
                  + " tensors; convert the model to float32");
    };
  }

  private static DType dtype(DataType type) {
    return switch (type) {
      case FLOAT32 -> DType.FLOAT32;
      case FLOAT64 -> DType.FLOAT64;
      case FLOAT16 -> DType.FLOAT16;
      case INT64 -> DType.INT64;
      case INT32 -> DType.INT32;
      case INT8 -> DType.INT8;
      case UINT8 -> DType.UINT8;
      case BOOLEAN -> DType.BOOL;
      default ->
          throw new UnsupportedModelException("the PyTorch engine gave a tensor of type " + type);
    };
  }

  /** A copy of an array's content. */
  public static Tensor tensor(NDArray array) {
    DType dtype = dtype(array.getDataType());
    long[] shape = array.getShape().getShape();
    ByteBuffer data = array.toByteBuffer();
    return Tensor.of(dtype, shape, data);
  }
}
