package io.peft4j.adapters.peft;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.type.TypeReference;
import io.peft4j.CheckpointFormatException;
import io.peft4j.adapters.peft.HeadFiles.Head;
import io.peft4j.format.AtomicWrite;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A PEFT folder as its files are, for what needs no model.
 *
 * @param folder where it came from
 * @param fields of {@code adapter_config.json}: texts, numbers, booleans, nulls, lists and maps
 * @param tensors of {@code adapter_model.safetensors}, by key
 * @param head what peft4j keeps beside them
 */
public record PeftFolder(
    Path folder, Map<String, @Nullable Object> fields, Map<String, Tensor> tensors, Head head) {
  private static final Head NOTHING = new Head(null, List.of(), Map.of());

  public PeftFolder {
    fields = Collections.unmodifiableMap(new TreeMap<>(fields));
    tensors = Collections.unmodifiableMap(new LinkedHashMap<>(tensors));
  }

  /**
   * Reads a folder.
   *
   * @throws CheckpointFormatException if a file is missing or damaged, if the folder is not PEFT's,
   *     or if a number is not finite
   */
  public static PeftFolder read(Path folder) {
    Path file = folder.resolve(PeftFormat.CONFIG);
    if (!Files.isRegularFile(file)) {
      throw new CheckpointFormatException(
          "folder %s holds no adapter: it has no %s".formatted(folder, PeftFormat.CONFIG));
    }
    PeftConfig config = PeftConfig.parse(file, PeftFormat.readText(file));
    if (!config.has("peft_type")) {
      throw new CheckpointFormatException(
          "%s lacks the field 'peft_type', so it is no adapter of PEFT; convert it with peft4j adapter convert --to peft"
              .formatted(file));
    }
    Path weights = PeftFormat.weights(folder);
    Map<String, Tensor> tensors = StoredKeys.read(weights);
    tensors.forEach((key, tensor) -> StoredTensors.requireFinite(weights, key, tensor));
    Head head = HeadFiles.read(folder);
    return new PeftFolder(folder, config.values(), tensors, head == null ? NOTHING : head);
  }

  /** The fields, read with errors that name the file. */
  public PeftConfig config() {
    return PeftConfig.of(folder.resolve(PeftFormat.CONFIG), fields);
  }

  /** The file of the tensors, for messages. */
  public Path weights() {
    return folder.resolve(PeftFormat.WEIGHTS);
  }

  /** Writes all of it to another folder, whole or not at all. */
  public void write(Path target) {
    AtomicWrite.folder(
        target,
        temporary -> {
          String text = PeftConfig.JSON.valueToTree(fields).toPrettyString();
          Files.writeString(temporary.resolve(PeftFormat.CONFIG), text, UTF_8);
          SafeTensors.write(temporary.resolve(PeftFormat.WEIGHTS), tensors, Map.of("format", "pt"));
          HeadFiles.write(temporary, head);
        });
  }

  static final TypeReference<LinkedHashMap<String, @Nullable Object>> FIELDS =
      new TypeReference<>() {};
}
