package io.peft4j.format;

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

  public Checkpoint withGraph(Graph newGraph) {
    return new Checkpoint(source, format, newGraph, architecture, labels);
  }
}
