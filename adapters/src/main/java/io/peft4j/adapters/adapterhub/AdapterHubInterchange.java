package io.peft4j.adapters.adapterhub;

import io.peft4j.UnsupportedModelException;
import io.peft4j.adapter.AdapterMethod;
import io.peft4j.adapters.peft.PeftConfig;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How one method stands in the {@code config} object of AdapterHub's {@code adapter_config.json}.
 * Found by ServiceLoader; a third party adds one for its method.
 */
public interface AdapterHubInterchange {
  /** The value of {@code architecture}; empty for bottleneck adapters, which have none. */
  String architecture();

  /** Whether this writes adapters of a method. */
  boolean writes(AdapterMethod method);

  /**
   * The method that a configuration describes.
   *
   * @param config the fields of the {@code config} object
   * @throws UnsupportedModelException if a field asks for something that is not supported, by name
   */
  AdapterMethod read(PeftConfig config);

  /**
   * The method's own fields: texts, numbers, booleans, nulls, and lists and maps of them. A number
   * of type Double is written with a fraction.
   */
  Map<String, @Nullable Object> fields(AdapterMethod method);

  /** An error for a field that cannot be honoured. */
  static UnsupportedModelException unsupported(PeftConfig config, String key, String why) {
    return new UnsupportedModelException(
        "%s: field '%s' is %s, which is not supported: %s"
            .formatted(config.file(), config.named(key), config.json(key), why));
  }
}
