package io.peft4j.cli.adapter;

import io.peft4j.CheckpointFormatException;
import io.peft4j.adapters.adapterhub.AdapterHubFormat;
import io.peft4j.adapters.combine.LoraUpdates;
import io.peft4j.adapters.peft.HeadFiles;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.adapters.peft.PeftFolder;
import io.peft4j.format.AdapterFormat;
import io.peft4j.format.Formats;
import io.peft4j.graph.Tensor;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What an adapter's files say by themselves.
 *
 * @param format peft or adapterhub
 * @param method as the format calls it
 * @param baseModel as the configuration names it; empty if it does not
 * @param tensors by key
 * @param updates by module path; none where the files alone do not tell
 */
record AdapterFiles(
    Path folder,
    String format,
    String method,
    String baseModel,
    Map<String, Tensor> tensors,
    Map<String, LoraUpdates.Update> updates,
    List<String> labels,
    Map<String, String> provenance) {

  static AdapterFiles read(Path folder) {
    AdapterFormat format = Formats.adapter(folder);
    HeadFiles.Head head = HeadFiles.read(AdapterHubFormat.notes(folder));
    List<String> labels = head == null ? List.of() : head.labels();
    Map<String, String> provenance = head == null ? Map.of() : head.provenance();
    if (format.name().equals("peft")) {
      PeftFolder files = PeftFolder.read(folder);
      PeftConfig config = files.config();
      return new AdapterFiles(
          folder,
          format.name(),
          config.text("peft_type", ""),
          config.textOrEmpty("base_model_name_or_path"),
          files.tensors(),
          LoraUpdates.of(files),
          labels,
          provenance);
    }
    Path file = folder.resolve("adapter_config.json");
    boolean isSingle = Files.isRegularFile(file);
    PeftConfig config = PeftConfig.parse(file, isSingle ? text(file) : "{}");
    PeftConfig settings = config.object("config");
    return new AdapterFiles(
        folder,
        format.name(),
        settings == null ? composition(folder) : settings.text("architecture", "adapter"),
        config.textOrEmpty("model_name"),
        isSingle
            ? Formats.tensorFiles().read(AdapterHubFormat.weights(folder))
            : tensorsWithin(folder),
        Map.of(),
        labels,
        provenance);
  }

  /** What a folder of several adapters makes of them. */
  private static String composition(Path folder) {
    Path file = folder.resolve("adapter_setup.json");
    PeftConfig setup =
        Files.isRegularFile(file)
            ? PeftConfig.parse(file, text(file)).object("adapter_setup")
            : null;
    return setup != null && setup.text("type", "").equals("Stack") ? "stack" : "fusion";
  }

  private static String text(Path file) {
    try {
      return Files.readString(file, StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new CheckpointFormatException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  /** The tensors of the adapters in a folder, and of what mixes them. */
  private static Map<String, Tensor> tensorsWithin(Path folder) {
    Map<String, Tensor> all = new TreeMap<>();
    try (Stream<Path> files = Files.walk(folder, 2)) {
      files
          .filter(file -> file.getFileName().toString().matches("(model_)?adapter.*\\.safetensors"))
          .forEach(file -> all.putAll(Formats.tensorFiles().read(file)));
      return all;
    } catch (IOException e) {
      throw new CheckpointFormatException(folder + " cannot be read: " + e.getMessage(), e);
    }
  }

  long parameters() {
    return tensors.values().stream().mapToLong(Tensor::size).sum();
  }

  /** The rank of LoRA at a module; null if there is none. */
  @Nullable Integer rank(String path) {
    for (Map.Entry<String, Tensor> entry : tensors.entrySet()) {
      String key = entry.getKey();
      if (key.endsWith("." + path + ".lora_A.weight")
          || key.endsWith("." + path + ".lora_embedding_A")) {
        return Math.toIntExact(entry.getValue().dim(0));
      }
    }
    return null;
  }

  Map<String, String> shapes() {
    Map<String, String> shapes = new LinkedHashMap<>();
    new TreeMap<>(tensors).forEach((key, tensor) -> shapes.put(key, tensor.toString()));
    return shapes;
  }
}
