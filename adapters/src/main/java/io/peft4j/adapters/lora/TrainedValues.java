package io.peft4j.adapters.lora;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.Tensor;

/** The present values of an adapter, by module and name. */
final class TrainedValues {
  private final AttachedAdapter adapter;

  TrainedValues(AttachedAdapter adapter) {
    this.adapter = adapter;
  }

  /** A tensor of the adapter. */
  Tensor of(String path, String parameter) {
    for (AdapterTensor tensor : adapter.tensors()) {
      if (tensor.module().equals(path) && tensor.parameter().equals(parameter)) {
        return adapter.graph().initializer(tensor.initializer());
      }
    }
    throw new IllegalStateException("lost " + parameter + " of " + path);
  }

  /** What an initializer of the adapted model holds. */
  Tensor present(String initializer) {
    return adapter.graph().initializer(initializer);
  }
}
