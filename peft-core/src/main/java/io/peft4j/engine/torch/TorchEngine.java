package io.peft4j.engine.torch;

import ai.djl.engine.Engine;
import io.peft4j.engine.CompileOptions;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Node;
import io.peft4j.graph.passes.Fusion;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Compiles graphs for PyTorch. */
public final class TorchEngine {
  /** The name that users give to {@code --engine}. */
  public static final String NAME = "pytorch";

  static {
    // The optimiser of TorchScript costs seconds on changing lengths and gains nothing here.
    System.setProperty("ai.djl.pytorch.graph_optimizer", "false");
  }

  private TorchEngine() {}

  /**
   * Compiles a graph; its trainable initializers become parameters of its own.
   *
   * @throws io.peft4j.UnsupportedModelException if an operator or a form of one is not supported
   */
  public static TorchProgram compile(Graph graph, CompileOptions options) {
    return compile(graph, options, TorchParameters.of(graph, options.precision()), true);
  }

  /**
   * Compiles a graph with parameters that other programs share; closing the program leaves them
   * open.
   *
   * @throws io.peft4j.UnsupportedModelException if an operator or a form of one is not supported
   */
  public static TorchProgram compile(
      Graph graph, CompileOptions options, TorchParameters parameters) {
    return compile(graph, options, parameters, false);
  }

  private static TorchProgram compile(
      Graph graph, CompileOptions options, TorchParameters parameters, boolean owns) {
    TorchCompiler.Script script = TorchCompiler.compile(Fusion.apply(graph), options);
    return new TorchProgram(graph.name(), script, parameters, owns);
  }

  /** One node of each operator of a graph that this engine has no lowering for. */
  public static List<Node> missing(Graph graph) {
    Map<String, Node> missing = new LinkedHashMap<>();
    for (Node node : Fusion.apply(graph).nodes()) {
      if (Lowerings.find(node) == null && !node.is("Constant")) {
        missing.putIfAbsent(node.domain() + "::" + node.op(), node);
      }
    }
    return List.copyOf(missing.values());
  }

  /** The TorchScript source that a graph compiles to; for debugging. */
  public static String source(Graph graph, CompileOptions options) {
    return TorchCompiler.compile(Fusion.apply(graph), options).source();
  }

  /** Makes the random operations that follow reproducible. */
  public static void seed(int seed) {
    engine().setRandomSeed(seed);
  }

  static Engine engine() {
    return Engine.getEngine("PyTorch");
  }
}
