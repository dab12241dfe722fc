package io.peft4j.cli;

import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.InferenceEngines;
import io.peft4j.engine.Program;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.graph.Graph;
import java.util.Locale;

/** The engines by the names that users give. */
enum EngineName {
  PYTORCH,
  ONNXRUNTIME;

  /** Compiles for inference. */
  Program compile(Graph graph) {
    return this == PYTORCH
        ? TorchEngine.compile(graph, CompileOptions.evaluation())
        : InferenceEngines.named(InferenceEngines.ONNX_RUNTIME).compile(graph);
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
