package io.peft4j.loaders.onnx;

import io.peft4j.CheckpointFormatException;
import io.peft4j.format.Checkpoint;
import io.peft4j.format.ModelFormat;
import io.peft4j.graph.Graph;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * ONNX files: operator sets 9 to 21 are read, 21 is written, 17 to 20 where that is asked for. What
 * adapters added is noted in the file and found again: nodes carry {@code peft4j.adapter}, the
 * model {@code peft4j.tags}, {@code peft4j.trainable} and {@code peft4j.labels}.
 */
public final class OnnxFormat implements ModelFormat {
  @Override
  public String name() {
    return "onnx";
  }

  @Override
  public boolean accepts(Path path) {
    return path.toString().endsWith(".onnx") && Files.isRegularFile(path);
  }

  @Override
  public Checkpoint read(Path path) {
    Graph graph = OnnxReader.read(path);
    return new Checkpoint(path, name(), graph, "", labels(path, graph));
  }

  private static List<String> labels(Path path, Graph graph) {
    String text = graph.metadata().get(Checkpoint.LABELS_KEY);
    if (text == null) {
      return List.of();
    }
    try {
      return List.of(OnnxReader.JSON.readValue(text, String[].class));
    } catch (IOException e) {
      throw new CheckpointFormatException(
          "%s: its metadata %s is no JSON list of texts; get it again"
              .formatted(path, Checkpoint.LABELS_KEY),
          e);
    }
  }

  /**
   * Writes a graph in the operators of an older set, for runtimes that know no newer one.
   *
   * @param opset 17 to 21
   * @param target replaced if it is there
   * @throws io.peft4j.UnsupportedModelException if a node has no equal in that set; the message
   *     names it
   */
  public void write(Graph graph, int opset, Path target) {
    OnnxWriter.write(graph, opset, target);
  }

  @Override
  public void write(Checkpoint origin, Graph graph, Path target) {
    OnnxWriter.write(graph, target);
  }
}
