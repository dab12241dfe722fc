package io.peft4j.engine;

import io.peft4j.PeftException;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * The inputs that a program takes, and what a run is given checked against them.
 *
 * @param model the model's name, for messages
 * @param values the inputs in the program's order
 */
public record DeclaredInputs(String model, List<Value> values) {
  public DeclaredInputs {
    values = List.copyOf(values);
  }

  /** The names in order. */
  public List<String> names() {
    return values.stream().map(Value::name).toList();
  }

  /**
   * The tensors in the program's order; floating-point ones are converted to the declared type.
   *
   * @throws PeftException if one is missing, unknown, or of another kind or rank than declared
   */
  public List<Tensor> inOrder(Map<String, Tensor> given) {
    Set<String> unknown = new TreeSet<>(given.keySet());
    unknown.removeAll(names());
    if (!unknown.isEmpty()) {
      throw new PeftException(
          "model '%s' has no input '%s'; its inputs are %s"
              .formatted(model, unknown.iterator().next(), String.join(", ", names())));
    }
    List<Tensor> tensors = new ArrayList<>();
    for (Value value : values) {
      Tensor tensor = given.get(value.name());
      if (tensor == null) {
        throw new PeftException(
            "model '%s' needs the input '%s'; its inputs are %s"
                .formatted(model, value.name(), String.join(", ", names())));
      }
      tensors.add(checked(value, tensor));
    }
    return tensors;
  }

  private Tensor checked(Value value, Tensor tensor) {
    int rank = value.shape() == null ? tensor.rank() : value.shape().size();
    boolean convertible =
        tensor.dtype().isFloat() && value.dtype() != null && value.dtype().isFloat();
    if (tensor.rank() != rank || (tensor.dtype() != value.dtype() && !convertible)) {
      throw new PeftException(
          "input '%s' of model '%s' must be %s, was %s"
              .formatted(value.name(), model, value, tensor));
    }
    return value.dtype() == null ? tensor : tensor.cast(value.dtype());
  }
}
