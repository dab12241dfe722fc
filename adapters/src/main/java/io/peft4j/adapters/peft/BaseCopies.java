package io.peft4j.adapters.peft;

import io.peft4j.CheckpointFormatException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Site;
import io.peft4j.site.Sites;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Copies of the base model's tables of vectors and output layer that PEFT stores beside an adapter
 * ({@code save_embedding_layers}). They must be what the model has, and are written back.
 */
final class BaseCopies {
  private BaseCopies() {}

  /**
   * An adapter with places for the copies that a file holds.
   *
   * @throws CheckpointFormatException if a copy is not what the model has
   */
  static AttachedAdapter noted(Path file, AttachedAdapter adapter) {
    Map<String, Tensor> stored = StoredKeys.read(file);
    Set<String> known = new HashSet<>();
    adapter.tensors().forEach(tensor -> known.add(PeftFormat.key(tensor)));
    List<AdapterTensor> tensors = new ArrayList<>(adapter.tensors());
    Sites sites = Sites.of(adapter.base());
    List<Site> modules = new ArrayList<>(sites.embeddings());
    modules.addAll(sites.linears());
    for (Site site : modules) {
      for (String name : List.of("base_layer.weight", "weight")) {
        AdapterTensor place = place(site, name);
        Tensor copy = stored.get(PeftFormat.key(place));
        boolean allowed = name.startsWith("base_layer") || site instanceof EmbeddingSite;
        if (copy != null && allowed && known.add(PeftFormat.key(place))) {
          requireSame(file, place, copy, adapter.base().initializer(place.initializer()));
          tensors.add(place);
        }
      }
    }
    return new AttachedAdapter(
        adapter.name(),
        adapter.method(),
        adapter.base(),
        adapter.graph(),
        tensors,
        adapter.targets());
  }

  private static AdapterTensor place(Site site, String name) {
    if (site instanceof LinearSite linear) {
      return new AdapterTensor(linear.weight(), linear.path(), name, linear.storedTransposed());
    }
    EmbeddingSite embedding = (EmbeddingSite) site;
    return new AdapterTensor(embedding.weight(), embedding.path(), name);
  }

  private static void requireSame(Path file, AdapterTensor place, Tensor copy, Tensor own) {
    Tensor laid = place.transposed() ? own.transposed(1, 0) : own;
    boolean same =
        java.util.Arrays.equals(laid.shape(), copy.shape())
            && copy.dtype().isFloat()
            && copy.cast(laid.dtype()).cast(DType.FLOAT32).contentEquals(laid.cast(DType.FLOAT32));
    if (!same) {
      throw new CheckpointFormatException(
          "%s: the copy of the base model in '%s' is not what this model has; is this the adapter's base model?"
              .formatted(file, PeftFormat.key(place)));
    }
  }
}
