package io.peft4j.adapters.adapterhub;

import io.peft4j.CheckpointFormatException;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.bottleneck.Bottleneck;
import io.peft4j.adapters.compose.ComposableMethod;
import io.peft4j.adapters.composition.Member;
import io.peft4j.adapters.peft.HeadFiles;
import io.peft4j.adapters.peft.StoredTensors;
import io.peft4j.format.AdapterFormat.StoredAdapter;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.loaders.safetensors.SafeTensors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What the files of an adapter's folder hold, gathered one by one, and then put on a model. */
final class FolderContents {
  private final Map<String, String> texts = new LinkedHashMap<>();
  private final Map<String, Tensor> held = new LinkedHashMap<>();
  private @Nullable HeadFolder head;

  /** Keeps a configuration's text by its path in the folder. */
  void text(String path, String text) {
    texts.put(path, text);
  }

  void hold(Map<String, Tensor> tensors) {
    held.putAll(tensors);
  }

  /**
   * Reads an adapter.
   *
   * @param place the path of its folder in the whole's; empty for the same
   */
  AdapterFolder adapter(String place, Path folder, Graph base) {
    AdapterFolder read = AdapterFolder.read(folder, base);
    text(HubFiles.in(place, AdapterFolder.CONFIG), read.text());
    hold(SafeTensors.read(read.weights()).tensors());
    return read;
  }

  /**
   * Reads an adapter that a composition names.
   *
   * @param file the composition's configuration
   */
  Member member(Path file, Path folder, String name, Graph base) {
    if (!Files.isRegularFile(folder.resolve(AdapterFolder.CONFIG))) {
      throw new CheckpointFormatException(
          "%s names the adapter '%s', but there is no folder %s with it; put the adapter's folder there"
              .formatted(file, name, folder));
    }
    AdapterFolder adapter = adapter(name, folder, base);
    if (!adapter.name().equals(name)) {
      throw new CheckpointFormatException(
          "%s holds the adapter '%s', but %s names '%s'; put that one there"
              .formatted(folder, adapter.name(), file, name));
    }
    if (!(adapter.method() instanceof Bottleneck bottleneck)) {
      throw new CheckpointFormatException(
          "%s names '%s', which is no bottleneck adapter; only those are composed"
              .formatted(file, name));
    }
    return AdapterFolder.inFile(file, () -> new Member(name, bottleneck));
  }

  /** Reads the head in a folder, if there is one. */
  void head(String place, Path folder) {
    head = HeadFolder.read(folder);
    if (head != null) {
      text(HubFiles.in(place, HeadFolder.CONFIG), head.text());
      hold(head.tensors());
    }
  }

  /** The name under which a composition is attached, by which its head is found. */
  String named(String absent) {
    return head == null || head.name().isEmpty() ? absent : head.name();
  }

  /**
   * The adapter on a model.
   *
   * @param notes the folder where peft4j's own notes may lie
   */
  StoredAdapter on(
      Graph base, ComposableMethod method, String name, AdapterFolder.Place place, Path notes) {
    ClassificationHead own = head == null ? null : head.head();
    ComposableMethod whole = head == null ? method : head.with(method);
    AttachedAdapter attached =
        AdapterFolder.inFile(place.file(), () -> whole.attach(base, name, 0));
    StoredAdapter stored = filled(attached, place, notes);
    return own != null && stored.labels().isEmpty() ? stored.withLabels(own.labels()) : stored;
  }

  private StoredAdapter filled(AttachedAdapter attached, AdapterFolder.Place place, Path folder) {
    FileKeys keys =
        FileKeys.of(attached.base(), place.modelType(), place.modelClass())
            .fitting(attached.tensors(), held.keySet(), place.modelType());
    Map<String, Tensor> values = StoredTensors.fitted(place.weights(), held, attached, keys::of);
    HeadFiles.Head notes = HeadFiles.read(folder);
    AttachedAdapter whole = notes == null ? attached : HeadFiles.attach(attached, notes.stored());
    GraphEditor editor = whole.graph().edit();
    values.forEach(editor::initializer);
    return new StoredAdapter(
        whole.withGraph(editor.build()),
        Texts.join(texts),
        notes == null ? null : notes.stored(),
        notes == null ? List.of() : notes.labels(),
        notes == null ? Map.of() : notes.provenance());
  }
}
