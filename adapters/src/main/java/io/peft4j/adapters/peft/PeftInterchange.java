package io.peft4j.adapters.peft;

import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How one method stands in {@code adapter_config.json}. Found by ServiceLoader; a third party adds
 * one for its method.
 */
public interface PeftInterchange {
  /** The value of {@code peft_type}. */
  String peftType();

  /** Whether this writes adapters of a method. */
  boolean writes(AdapterMethod method);

  /**
   * The method that a configuration describes.
   *
   * @param modelType the model's family, for default targets; empty if it is not known
   * @throws io.peft4j.UnsupportedModelException if a field asks for something that is not
   *     supported, by name
   */
  AdapterMethod read(PeftConfig config, String modelType);

  /**
   * The method's own fields: texts, numbers, booleans, nulls, and lists and maps of them. Whole
   * numbers of type Double are written without a fraction, as PEFT does.
   */
  Map<String, @Nullable Object> write(AttachedAdapter adapter);

  /**
   * Looks at what a file holds beyond shapes and types; by default at nothing.
   *
   * @param file of the tensors
   * @param started the adapter before the file's values, as the method starts on this model
   * @throws io.peft4j.CheckpointFormatException if it cannot be what the method wrote for this
   *     model
   */
  default void check(Path file, AttachedAdapter started, AttachedAdapter read) {}

  /**
   * As {@link #write(AttachedAdapter)}, for methods that also name the model.
   *
   * @param baseModel the base model's name
   */
  default Map<String, @Nullable Object> write(AttachedAdapter adapter, String baseModel) {
    return write(adapter);
  }

  /** The adapter in a form that its file can hold; by default as it is. */
  default AttachedAdapter storable(AttachedAdapter adapter) {
    return adapter;
  }
}
