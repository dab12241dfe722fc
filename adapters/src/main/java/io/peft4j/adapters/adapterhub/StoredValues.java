package io.peft4j.adapters.adapterhub;

import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.peft.HeadFiles;
import io.peft4j.adapters.peft.StoredTensors;
import io.peft4j.format.AdapterFormat.StoredAdapter;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Puts the tensors of files into an attached adapter. */
final class StoredValues {
  private StoredValues() {}

  /**
   * The adapter with its values.
   *
   * @param file for messages
   * @param held the tensors of all files by key
   * @param texts the configurations
   * @param folder where peft4j's own notes may lie
   */
  static StoredAdapter of(
      Path file,
      Map<String, Tensor> held,
      AttachedAdapter attached,
      String modelType,
      String modelClass,
      String texts,
      Path folder) {
    FileKeys keys =
        FileKeys.of(attached.base(), modelType, modelClass)
            .fitting(attached.tensors(), held.keySet(), modelType);
    Map<String, Tensor> values = StoredTensors.fitted(file, held, attached, keys::of);
    HeadFiles.Head notes = HeadFiles.read(folder);
    AttachedAdapter whole = notes == null ? attached : HeadFiles.attach(attached, notes.stored());
    GraphEditor editor = whole.graph().edit();
    values.forEach(editor::initializer);
    return new StoredAdapter(
        whole.withGraph(editor.build()),
        texts,
        notes == null ? null : notes.stored(),
        notes == null ? List.of() : notes.labels(),
        notes == null ? Map.of() : notes.provenance());
  }
}
