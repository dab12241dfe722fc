package io.peft4j.loaders.onnxruntime;

import ai.djl.Model;
import ai.djl.engine.EngineException;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Block;
import ai.djl.training.ParameterStore;
import com.google.common.collect.ImmutableBiMap;
import io.peft4j.PeftException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.engine.DeclaredInputs;
import io.peft4j.engine.Program;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A session of ONNX Runtime. */
final class OnnxRuntimeProgram implements Program {
  private static final ImmutableBiMap<DType, DataType> TYPES =
      ImmutableBiMap.<DType, DataType>builder()
          .put(DType.FLOAT32, DataType.FLOAT32)
          .put(DType.FLOAT64, DataType.FLOAT64)
          .put(DType.FLOAT16, DataType.FLOAT16)
          .put(DType.BFLOAT16, DataType.BFLOAT16)
          .put(DType.INT32, DataType.INT32)
          .put(DType.INT64, DataType.INT64)
          .put(DType.INT8, DataType.INT8)
          .put(DType.UINT8, DataType.UINT8)
          .put(DType.BOOL, DataType.BOOLEAN)
          .build();

  private final Model model;
  private final DeclaredInputs inputs;
  private final List<String> outputNames;

  OnnxRuntimeProgram(Model model, DeclaredInputs inputs, List<String> outputNames) {
    this.model = model;
    this.inputs = inputs;
    this.outputNames = outputNames;
  }

  @Override
  public List<String> inputNames() {
    return inputs.names();
  }

  @Override
  public List<String> outputNames() {
    return outputNames;
  }

  @Override
  public Map<String, Tensor> run(Map<String, Tensor> given) {
    List<Tensor> tensors = inputs.inOrder(given);
    Block block = model.getBlock();
    try (NDManager manager = model.getNDManager().newSubManager()) {
      NDList list = new NDList();
      for (int i = 0; i < tensors.size(); i++) {
        list.add(array(manager, inputNames().get(i), tensors.get(i)));
      }
      NDList results = block.forward(new ParameterStore(manager, false), list, false);
      Map<String, Tensor> outputs = new LinkedHashMap<>();
      for (NDArray result : results) {
        outputs.put(result.getName(), tensor(result));
      }
      return outputs;
    } catch (EngineException e) {
      throw new PeftException("ONNX Runtime failed: " + OnnxRuntimeEngine.reason(e), e);
    }
  }

  private static NDArray array(NDManager manager, String name, Tensor tensor) {
    DataType type = TYPES.get(tensor.dtype());
    if (type == null) {
      throw new UnsupportedModelException(
          "input '%s' is %s, which the ONNX Runtime engine does not take"
              .formatted(name, tensor.dtype().label()));
    }
    NDArray array = manager.create(tensor.data(), new Shape(tensor.shape()), type);
    array.setName(name);
    return array;
  }

  private static Tensor tensor(NDArray array) {
    DType dtype = TYPES.inverse().get(array.getDataType());
    if (dtype == null) {
      throw new UnsupportedModelException(
          "output '%s' is %s, which is not supported"
              .formatted(array.getName(), array.getDataType()));
    }
    ByteBuffer bytes = array.toByteBuffer();
    ByteBuffer own = Tensor.allocate(bytes.remaining()).put(bytes).flip();
    return Tensor.of(dtype, array.getShape().getShape(), own.order(ByteOrder.LITTLE_ENDIAN));
  }

  @Override
  public void close() {
    model.close();
  }
}
