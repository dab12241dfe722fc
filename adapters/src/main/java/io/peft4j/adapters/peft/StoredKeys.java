package io.peft4j.adapters.peft;

import io.peft4j.CheckpointFormatException;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * Reads the tensors of {@code adapter_model.safetensors}, also of those that hold the names of
 * PEFT's wrappers, as a trainer writes them that saves the state of the wrapped model: {@code
 * lora_A.default.weight}, {@code modules_to_save.default.weight}, {@code
 * base_model.model.base_model.model}.
 */
final class StoredKeys {
  private static final Pattern REPEATED = Pattern.compile("^(base_model\\.model\\.){2,}");
  private static final Pattern WRAPPER =
      Pattern.compile("(\\.modules_to_save)?\\.default(?=\\.|$)");

  private StoredKeys() {}

  /**
   * The tensors by the keys that {@code save_pretrained} gives them.
   *
   * @throws CheckpointFormatException if the file is damaged, or if two of its keys are one
   */
  static Map<String, Tensor> read(Path file) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    SafeTensors.read(file)
        .tensors()
        .forEach(
            (key, tensor) -> {
              if (tensors.put(plain(key), tensor) != null) {
                throw new CheckpointFormatException(
                    "%s holds '%s' twice, with and without the names of PEFT's wrappers; save the adapter again"
                        .formatted(file, plain(key)));
              }
            });
    return tensors;
  }

  private static String plain(String key) {
    String once = REPEATED.matcher(key).replaceFirst("base_model.model.");
    return WRAPPER.matcher(once).replaceAll("");
  }
}
