package io.peft4j.adapters.adapterhub;

import io.peft4j.CheckpointFormatException;
import io.peft4j.adapters.composition.AdapterFusion;
import io.peft4j.adapters.composition.Member;
import io.peft4j.adapters.composition.Mixing;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.format.AdapterFormat.StoredAdapter;
import io.peft4j.graph.Graph;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A fusion on disk: a folder with {@code adapter_fusion_config.json} and {@code
 * model_adapter_fusion.safetensors}, and beside it one folder for each adapter, of its name.
 */
final class FusionFolder {
  static final String CONFIG = "adapter_fusion_config.json";
  static final String WEIGHTS = "model_adapter_fusion.safetensors";
  private static final String USUAL = "fusion";
  private static final String PICKLE = "pytorch_model_adapter_fusion.bin";

  private FusionFolder() {}

  /** The folder with the fusion's own files: this one, or {@code fusion} in it; null if none is. */
  static @Nullable Path of(Path folder) {
    if (Files.isRegularFile(folder.resolve(CONFIG))) {
      return folder;
    }
    Path inner = folder.resolve(USUAL);
    return Files.isRegularFile(inner.resolve(CONFIG)) ? inner : null;
  }

  /**
   * Reads a fusion.
   *
   * @param contents what was read already
   */
  static StoredAdapter read(Path fusion, FolderContents contents, Graph base) {
    Path file = fusion.resolve(CONFIG);
    String text = Texts.read(file);
    PeftConfig config = PeftConfig.parse(file, text);
    AdapterFolder.requireFits(config, base);
    PeftConfig settings = config.object("config");
    List<String> names = config.texts("adapter_names");
    if (settings == null || names.isEmpty()) {
      throw new CheckpointFormatException(
          file + " lacks 'config' or 'adapter_names', which say what is fused; save it again");
    }
    Path weights = AdapterFolder.weights(fusion, WEIGHTS, PICKLE);
    String own = String.valueOf(fusion.toAbsolutePath().getFileName());
    contents.text(HubFiles.in(own, CONFIG), text);
    contents.hold(SafeTensors.read(weights).tensors());
    List<Member> members = new ArrayList<>();
    for (String name : names) {
      members.add(contents.member(file, fusion.toAbsolutePath().resolveSibling(name), name, base));
    }
    contents.head(own, fusion);
    AdapterFusion method =
        AdapterFolder.inFile(
            file, () -> new AdapterFusion(members, Mixing.read(settings, Mixing.DYNAMIC), true));
    return contents.on(
        base,
        method,
        contents.named(method.names()),
        new AdapterFolder.Place(
            file, weights, config.text("model_type", ""), config.text("model_class", "")),
        fusion);
  }

  /** The configuration of a fusion that was made here. */
  static String newConfig(Graph base, AdapterFusion fusion, String baseModel) {
    Map<String, @Nullable Object> fields = NewConfig.frame(base, baseModel);
    fields.put("adapter_names", fusion.members().stream().map(Member::name).toList());
    fields.put("config", fusion.mixing().fields());
    fields.put("name", fusion.names());
    return NewConfig.text(fields);
  }
}
