package io.peft4j.format;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.peft4j.graph.Graph;
import java.nio.file.Path;
import java.util.List;

/**
 * A model as a file format read it.
 *
 * @param source the file or folder it came from
 * @param format the name of the {@link ModelFormat} that read it
 * @param graph the model; initializers that no node uses are kept, so that they are written again
 * @param architecture what the checkpoint calls itself, for example {@code
 *     BertForSequenceClassification}; empty if it does not say
 * @param labels the names of the classes in order; empty if it does not say
 */
public record Checkpoint(
    Path source, String format, Graph graph, String architecture, List<String> labels) {
  public Checkpoint {
    labels = List.copyOf(labels);
  }

  /** Under this key of a graph's metadata its classes are noted, as a JSON list. */
  public static final String LABELS_KEY = "peft4j.labels";

  /** Under this key of a graph's metadata stands what made it, as a JSON object. */
  public static final String PROVENANCE_KEY = "peft4j.provenance";

  private static final ObjectMapper JSON = new ObjectMapper();

  /** A list or map as JSON text, for a graph's metadata. */
  public static String text(Object value) {
    return JSON.valueToTree(value).toString();
  }

  public Checkpoint withLabels(List<String> newLabels) {
    return new Checkpoint(source, format, graph, architecture, newLabels);
  }

  public Checkpoint withGraph(Graph newGraph) {
    return new Checkpoint(source, format, newGraph, architecture, labels);
  }
}
