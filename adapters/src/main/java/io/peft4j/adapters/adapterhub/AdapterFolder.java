package io.peft4j.adapters.adapterhub;

import io.peft4j.CheckpointFormatException;
import io.peft4j.RecipeException;
import io.peft4j.UnsupportedModelException;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.peft.PeftConfig;
import io.peft4j.graph.Graph;
import io.peft4j.site.FeedForwardSite;
import io.peft4j.site.Sites;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;

/**
 * One adapter's folder, its configuration read.
 *
 * @param text of the configuration
 * @param name the adapter's name
 * @param method what the configuration describes
 * @param weights the file of its tensors
 * @param modelType the family that it is made for; empty if it does not say
 * @param modelClass the class that it is made for; empty if it does not say
 */
record AdapterFolder(
    String text,
    String name,
    ComposableMethod method,
    Path weights,
    String modelType,
    String modelClass) {
  static final String CONFIG = "adapter_config.json";
  static final String WEIGHTS = "adapter.safetensors";
  private static final String PICKLE = "pytorch_adapter.bin";

  /**
   * Which model the keys of a file are of.
   *
   * @param file the configuration, for messages
   * @param weights the file of tensors, for messages
   */
  record Place(Path file, Path weights, String modelType, String modelClass) {}

  Place place(Path folder) {
    return new Place(folder.resolve(CONFIG), weights, modelType, modelClass);
  }

  static AdapterFolder read(Path folder, Graph base) {
    Path file = folder.resolve(CONFIG);
    String text = Texts.read(file);
    PeftConfig config = PeftConfig.parse(file, text);
    PeftConfig settings = config.object("config");
    if (settings == null) {
      throw new CheckpointFormatException(
          file + " lacks the object 'config', which says what the adapter is; save it again");
    }
    String name = config.text("name", "");
    if (name.isEmpty()) {
      throw new CheckpointFormatException(
          file + " lacks the field 'name', by which the tensors are found; save the adapter again");
    }
    requireFits(config, base);
    Path weights = weights(folder);
    ComposableMethod method = inFile(file, () -> Interchanges.composable(settings));
    LanguageModels.requireInverse(config, method, base);
    return new AdapterFolder(
        text, name, method, weights, config.text("model_type", ""), config.text("model_class", ""));
  }

  /** Does something; values out of range are errors of the file. */
  static <T> T inFile(Path file, Supplier<T> work) {
    try {
      return work.get();
    } catch (RecipeException e) {
      throw new CheckpointFormatException(file + ": " + e.getMessage(), e);
    }
  }

  static void requireFits(PeftConfig config, Graph base) {
    String type = config.text("model_type", "");
    String own = base.metadata().getOrDefault("model_type", "");
    if (!type.isEmpty() && !own.isEmpty() && !type.equals(own)) {
      throw new UnsupportedModelException(
          "%s: the adapter is made for a model of type '%s', but this one is of type '%s'; give the adapter's own base model"
              .formatted(config.file(), type, own));
    }
    int size = config.whole("hidden_size", 0);
    List<FeedForwardSite> blocks = Sites.of(base).feedForwards();
    if (size > 0 && !blocks.isEmpty() && blocks.get(0).down().outFeatures() != size) {
      throw new CheckpointFormatException(
          "%s: the adapter is made for the hidden size %d, but this model has %d; give the adapter's own base model"
              .formatted(config.file(), size, blocks.get(0).down().outFeatures()));
    }
  }

  static Path weights(Path folder) {
    return weights(folder, WEIGHTS, PICKLE);
  }

  static Path weights(Path folder, String name, String pickle) {
    Path weights = folder.resolve(name);
    if (Files.isRegularFile(weights)) {
      return weights;
    }
    if (Files.exists(folder.resolve(pickle))) {
      throw new CheckpointFormatException(
          "%s holds its weights as a pickle (%s), which can run code and is not read; load it with the adapters library and save it with use_safetensors=True"
              .formatted(folder, pickle));
    }
    throw new CheckpointFormatException(folder + " has no " + name + "; copy the whole folder");
  }
}
