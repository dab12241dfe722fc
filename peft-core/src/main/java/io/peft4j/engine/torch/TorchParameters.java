package io.peft4j.engine.torch;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import io.peft4j.PeftException;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * The numbers that training changes, with their gradients: one array for each trainable initializer
 * of a graph.
 */
public final class TorchParameters implements AutoCloseable {
  private static final NDIndex ALL = new NDIndex("...");

  private final NDManager manager;
  private final Map<String, NDArray> arrays = new LinkedHashMap<>();
  private Set<String> resting = Set.of();

  private TorchParameters(NDManager manager) {
    this.manager = manager;
  }

  /** Copies of the trainable initializers, those of float32 in the given precision. */
  public static TorchParameters of(Graph graph, DType precision) {
    TorchParameters parameters = new TorchParameters(TorchEngine.engine().newBaseManager());
    for (String name : graph.trainable()) {
      Tensor start = graph.initializer(name);
      Tensor value = start.dtype() == DType.FLOAT32 ? start.cast(precision) : start;
      NDArray array = TorchTensors.copy(parameters.manager, value);
      array.setRequiresGradient(true);
      parameters.arrays.put(name, array);
    }
    return parameters;
  }

  /** The names, in the graph's order. */
  public Set<String> names() {
    return Collections.unmodifiableSet(arrays.keySet());
  }

  /** The array itself, to be changed in place. */
  public NDArray array(String name) {
    NDArray array = arrays.get(name);
    if (array == null) {
      throw new PeftException("there is no trainable parameter '" + name + "'");
    }
    return array;
  }

  /** A copy of the present value. */
  public Tensor value(String name) {
    return TorchTensors.tensor(array(name));
  }

  /** Copies of all present values. */
  public Map<String, Tensor> values() {
    Map<String, Tensor> values = new LinkedHashMap<>();
    arrays.keySet().forEach(name -> values.put(name, value(name)));
    return values;
  }

  /** Puts a value in place of the present one. */
  public void set(String name, Tensor value) {
    NDArray array = array(name);
    try (NDArray source = TorchTensors.copy(manager, value)) {
      array.setRequiresGradient(false);
      array.set(ALL, source); // copyTo makes torch warn on standard error
      array.setRequiresGradient(!resting.contains(name));
    }
  }

  /**
   * Computes no gradients for some parameters from here on, which spares the backward pass below
   * all others.
   *
   * @param names of all that rest; those that rested before and are not among them wake up
   */
  public void rest(Set<String> names) {
    if (!resting.equals(names)) {
      arrays.forEach((name, array) -> array.setRequiresGradient(!names.contains(name)));
      resting = Set.copyOf(names);
    }
  }

  /** A copy of the gradient; zeros where no backward pass has reached the parameter. */
  public Tensor gradient(String name) {
    NDArray array = array(name);
    try (NDArray gradient = array.getGradient()) {
      Tensor copy = TorchTensors.tensor(gradient);
      return copy.dtype() == TorchTensors.tensor(array).dtype()
          ? copy
          : copy.cast(TorchTensors.tensor(array).dtype());
    }
  }

  /** Sets every gradient to zero; gradients of several backward passes add up until then. */
  public void zeroGradients() {
    arrays.forEach(
        (name, array) -> {
          if (!resting.contains(name)) {
            JniUtils.zeroGrad((PtNDArray) array);
          }
        });
  }

  NDManager manager() {
    return manager;
  }

  @Override
  public void close() {
    manager.close();
  }
}
