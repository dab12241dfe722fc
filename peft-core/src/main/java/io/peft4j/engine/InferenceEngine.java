package io.peft4j.engine;

import io.peft4j.graph.Graph;
import java.nio.file.Path;

/** Runs graphs and ONNX files without gradients. Found by ServiceLoader. */
public interface InferenceEngine {
  /** The name that users give to {@code --engine}. */
  String name();

  /**
   * @throws io.peft4j.UnsupportedModelException if the engine cannot run the graph; the message
   *     names the operator
   */
  Program compile(Graph graph);

  /** Runs an ONNX file just as it is. */
  Program open(Path onnxFile);
}
