package io.peft4j.adapters.peft;

import io.peft4j.CheckpointFormatException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapter.NearestNames;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * Reads the tensors of an adapter file and holds them against what the adapter has on this model.
 */
public final class StoredTensors {
  private StoredTensors() {}

  /**
   * The file's tensors in float32 by initializer of the adapted graph.
   *
   * @throws CheckpointFormatException if one is missing, extra, of another shape, of an integer
   *     type, or not finite
   */
  public static Map<String, Tensor> read(
      Path file, AttachedAdapter adapter, Function<AdapterTensor, String> keyOf) {
    return fitted(file, StoredKeys.read(file), adapter, keyOf);
  }

  /**
   * As {@link #read}, for the tensors of a file that is open already.
   *
   * @throws CheckpointFormatException as {@link #read}, or if the keys of one initializer hold
   *     different tensors
   */
  public static Map<String, Tensor> fitted(
      Path file,
      Map<String, Tensor> stored,
      AttachedAdapter adapter,
      Function<AdapterTensor, String> keyOf) {
    TreeSet<String> extra = new TreeSet<>(stored.keySet());
    Map<String, Tensor> values = new LinkedHashMap<>();
    for (AdapterTensor place : adapter.tensors()) {
      String key = keyOf.apply(place);
      Tensor tensor = stored.get(key);
      if (tensor == null) {
        throw new CheckpointFormatException(
            "%s lacks the tensor '%s' that its configuration asks for on this model; the nearest are %s: is this the adapter's base model?"
                .formatted(file, key, NearestNames.of(key, stored.keySet())));
      }
      extra.remove(key);
      Tensor value = checked(file, key, tensor, place, adapter);
      if (isCopy(place, adapter)) {
        continue;
      }
      Tensor before = values.put(place.initializer(), value);
      if (before != null && !before.contentEquals(value)) {
        throw new CheckpointFormatException(
            "%s: tensor '%s' is one with others in this adapter, but holds other values than they; save the adapter again"
                .formatted(file, key));
      }
    }
    if (!extra.isEmpty()) {
      throw new CheckpointFormatException(
          "%s holds the tensor '%s', for which its configuration and this model have no place; is this the adapter's base model, with its head?"
              .formatted(file, extra.first()));
    }
    return values;
  }

  /** Whether a place is the base model's own, which an adapter's file does not change. */
  private static boolean isCopy(AdapterTensor place, AttachedAdapter adapter) {
    return adapter.base().initializers().containsKey(place.initializer())
        && !adapter.graph().trainable().contains(place.initializer());
  }

  private static Tensor checked(
      Path file, String key, Tensor tensor, AdapterTensor place, AttachedAdapter adapter) {
    Tensor expected = adapter.graph().initializer(place.initializer());
    Tensor shaped = place.transposed() ? expected.transposed(1, 0) : expected;
    if (!Arrays.equals(tensor.shape(), shaped.shape())) {
      throw new CheckpointFormatException(
          "%s: tensor '%s' has the shape %s, but its place in this model has %s; is this the adapter's base model?"
              .formatted(
                  file, key, Arrays.toString(tensor.shape()), Arrays.toString(shaped.shape())));
    }
    if (!expected.dtype().isFloat()) {
      return wholeNumbers(file, key, tensor, expected);
    }
    if (!tensor.dtype().isFloat()) {
      throw new CheckpointFormatException(
          "%s: tensor '%s' is of type %s; adapters are floating point, save it again"
              .formatted(file, key, tensor.dtype().label()));
    }
    requireFinite(file, key, tensor);
    Tensor wide = tensor.cast(DType.FLOAT32);
    return place.transposed() ? wide.transposed(1, 0) : wide;
  }

  static void requireFinite(Path file, String key, Tensor tensor) {
    if (!tensor.dtype().isFloat()) {
      return;
    }
    for (float value : tensor.toFloats()) {
      if (!Float.isFinite(value)) {
        throw new CheckpointFormatException(
            "%s: tensor '%s' holds %s; the training that made it failed, train again"
                .formatted(file, key, value));
      }
    }
  }

  /**
   * Checks indices that a file holds.
   *
   * @param entries how many there are to point to
   */
  public static void requireWithin(Path file, AdapterTensor tensor, long[] indices, long entries) {
    for (long index : indices) {
      if (index < 0 || index >= entries) {
        throw new CheckpointFormatException(
            "%s: tensor '%s' holds the index %d, but there are %d entries; is this the adapter's base model?"
                .formatted(file, PeftFormat.key(tensor), index, entries));
      }
    }
  }

  /** Indices, which are kept in the type that they are stored in. */
  private static Tensor wholeNumbers(Path file, String key, Tensor tensor, Tensor expected) {
    if (tensor.dtype() != expected.dtype()) {
      throw new CheckpointFormatException(
          "%s: tensor '%s' is of type %s, but holds whole numbers of type %s; save it again"
              .formatted(file, key, tensor.dtype().label(), expected.dtype().label()));
    }
    return tensor;
  }
}
