package io.peft4j.engine;

import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;

/** A compiled graph that maps named tensors to named tensors. Holds native memory until closed. */
public interface Program extends AutoCloseable {
  /** Names of the inputs that a run must give. */
  List<String> inputNames();

  List<String> outputNames();

  /**
   * Runs the graph in evaluation mode.
   *
   * @param inputs by name; types and ranks as the graph declares them
   * @return every output by name
   * @throws io.peft4j.PeftException if an input is missing or unknown, or the run fails
   */
  Map<String, Tensor> run(Map<String, Tensor> inputs);

  @Override
  void close();
}
