package io.peft4j.format;

import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Tensor;
import java.nio.file.Path;
import java.util.Map;

/** Reads and writes adapter folders of one kind. Found by ServiceLoader. */
public interface AdapterFormat {
  /** The name that users give, for example {@code peft}. */
  String name();

  /** Whether this folder directly holds an adapter of this kind. */
  boolean accepts(Path folder);

  /**
   * What a folder holds, attached to a model.
   *
   * @param adapter the adapter with the values of the file
   * @param configuration the configuration file's text as it was read, so that what is not
   *     understood is written back
   * @param values what the file holds, by initializer of the adapted graph, in the file's types
   */
  record StoredAdapter(AttachedAdapter adapter, String configuration, Map<String, Tensor> values) {}

  /**
   * Reads a configuration and gives the method that it describes, attached to a model with the
   * values of the file.
   */
  StoredAdapter read(Path folder, Graph base);

  /**
   * Writes a folder, whole or not at all.
   *
   * @param adapter what to write
   * @param values present values by initializer
   * @param origin what {@link #read} gave as configuration; empty for a new adapter
   * @param context task and base model
   */
  void write(
      AttachedAdapter adapter,
      Map<String, Tensor> values,
      String origin,
      Context context,
      Path folder);

  /**
   * What an adapter folder says beside the adapter.
   *
   * @param taskType as PEFT names it, for example {@code SEQ_CLS}
   * @param baseModel the base model's name
   * @param extraFiles further files by name, written into the same folder
   */
  record Context(String taskType, String baseModel, Map<String, AtomicWrite.Writer> extraFiles) {}
}
