package io.peft4j.adapters.adapterhub;

import com.google.common.collect.ImmutableMap;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.compose.ModuleNames;
import io.peft4j.graph.Graph;
import io.peft4j.site.FeedForwardSite;
import io.peft4j.site.Sites;
import java.util.List;
import java.util.Set;

/**
 * The keys of a file: module paths as the library's models have them. A file written from a bare
 * encoder has no {@code bert.} before them, one written from a model with a head has; either fits
 * either model.
 *
 * @param root what stands before the paths of this model's layers; empty for none
 * @param stored what stands there in the file
 */
record FileKeys(String root, String stored) {
  /** The module that holds the encoder, where it is not named as the model type is. */
  private static final ImmutableMap<String, String> PREFIXES =
      ImmutableMap.of(
          "gpt2", "transformer", "llama", "model", "mistral", "model", "qwen2", "model");

  static String root(Graph base) {
    List<FeedForwardSite> blocks = Sites.of(base).feedForwards();
    return blocks.isEmpty() ? "" : ModuleNames.of(blocks.get(0).down().path()).model();
  }

  /** As the configuration says; {@code modelClass} may be empty. */
  static FileKeys of(Graph base, String modelType, String modelClass) {
    String root = root(base);
    if (modelClass.isEmpty()) {
      return new FileKeys(root, root);
    }
    boolean bare = modelClass.endsWith("Model") && !modelClass.endsWith("AdapterModel");
    return new FileKeys(root, bare ? "" : prefix(root, modelType));
  }

  private static String prefix(String root, String modelType) {
    String own = PREFIXES.getOrDefault(modelType, modelType);
    return root.isEmpty() ? own : root;
  }

  /** The keys for what a file really holds, if it is the other form. */
  FileKeys fitting(List<AdapterTensor> tensors, Set<String> held, String modelType) {
    FileKeys other = new FileKeys(root, stored.isEmpty() ? prefix(root, modelType) : "");
    boolean fits = tensors.stream().anyMatch(t -> held.contains(of(t)) && isWithin(t));
    boolean otherFits = tensors.stream().anyMatch(t -> held.contains(other.of(t)) && isWithin(t));
    return !fits && otherFits ? other : this;
  }

  /** Whether a tensor belongs to the encoder rather than to a head. */
  private static boolean isWithin(AdapterTensor tensor) {
    return !isHead(tensor);
  }

  /** Whether a tensor stands in the head's file: a head, or a module of the model trained whole. */
  static boolean isHead(AdapterTensor tensor) {
    return tensor.parameter().startsWith("heads.")
        || tensor.parameter().equals("weight")
        || tensor.parameter().equals("bias");
  }

  String of(AdapterTensor tensor) {
    String path =
        tensor.module().isEmpty() ? tensor.parameter() : tensor.module() + "." + tensor.parameter();
    if (isHead(tensor) || root.equals(stored)) {
      return path;
    }
    String inner =
        root.isEmpty() || !path.startsWith(root + ".") ? path : path.substring(root.length() + 1);
    return stored.isEmpty() ? inner : stored + "." + inner;
  }
}
