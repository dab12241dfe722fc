package io.peft4j.format;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import io.peft4j.task.PooledHead;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Reads and writes adapter folders of one kind. Found by ServiceLoader. */
public interface AdapterFormat {
  /** The name that users give, for example {@code peft}. */
  String name();

  /** Whether this folder directly holds an adapter of this kind. */
  boolean accepts(Path folder);

  /** Whether adapters of this method can be written. */
  boolean writes(AttachedAdapter adapter);

  /** The key of a tensor in the adapter's file. */
  String key(StoredAdapter stored, AdapterTensor tensor);

  /**
   * A head that was trained with an adapter on a model that has none.
   *
   * @param head its form
   * @param weight float32 [labels, hidden]
   * @param bias float32 [labels]
   */
  record StoredHead(PooledHead head, Tensor weight, Tensor bias) {}

  /**
   * What a folder holds.
   *
   * @param adapter the adapter on the model, its graph with the values of the file; where there is
   *     a head, on the model with that head
   * @param configuration the configuration file's text, so that what is not understood can be
   *     written back; empty for a new adapter
   * @param head the head beside the adapter; null if there is none
   * @param labels the classes in order; empty if the folder does not say
   * @param provenance what made the adapter, for people: seeds, hashes, versions
   */
  record StoredAdapter(
      AttachedAdapter adapter,
      String configuration,
      @Nullable StoredHead head,
      List<String> labels,
      Map<String, String> provenance) {
    public StoredAdapter {
      labels = List.copyOf(labels);
      provenance = Collections.unmodifiableMap(new LinkedHashMap<>(provenance));
    }

    /** The same adapter in another state, the head's values those of its graph. */
    public StoredAdapter withAdapter(AttachedAdapter newAdapter, @Nullable PooledHead form) {
      Graph graph = newAdapter.graph();
      StoredHead newHead =
          form == null
              ? null
              : new StoredHead(
                  form, graph.initializer(PooledHead.WEIGHT), graph.initializer(PooledHead.BIAS));
      return new StoredAdapter(newAdapter, configuration, newHead, labels, provenance);
    }

    /** The same adapter with its classes named. */
    public StoredAdapter withLabels(List<String> newLabels) {
      return new StoredAdapter(adapter, configuration, head, newLabels, provenance);
    }

    /** The same adapter with a note on how it was made. */
    public StoredAdapter withNote(String key, String value) {
      Map<String, String> notes = new LinkedHashMap<>(provenance);
      notes.put(key, value);
      return new StoredAdapter(adapter, configuration, head, labels, notes);
    }
  }

  /**
   * Reads a folder and attaches what it holds to a model.
   *
   * @throws io.peft4j.CheckpointFormatException if a file is missing or damaged, or tensors are
   *     missing, extra, of another shape or not finite
   * @throws io.peft4j.UnsupportedModelException if the configuration asks for something that is not
   *     supported, by name
   */
  StoredAdapter read(Path folder, Graph base);

  /**
   * Writes a folder, whole or not at all.
   *
   * @param stored the adapter, its graph with present values
   * @param baseModel the base model's name
   */
  void write(StoredAdapter stored, String baseModel, Path folder);
}
