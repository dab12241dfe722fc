package io.peft4j.adapters.peft;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapter.AttachedAdapter;

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

  /** Writes the method's own fields. */
  void write(AttachedAdapter adapter, ObjectNode config);
}
