package io.peft4j.adapters.prompt;

import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapter.AttachedAdapter;
import io.peft4j.adapters.compose.Attachment;
import io.peft4j.engine.CompileOptions;
import io.peft4j.engine.torch.TorchEngine;
import io.peft4j.engine.torch.TorchProgram;
import io.peft4j.graph.DType;
import io.peft4j.graph.Graph;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.graph.Value;
import java.util.List;
import java.util.Map;

/**
 * The vectors of a prompt that a network makes. The network's own tensors train and are what a
 * training state holds; files hold the vectors that come out of it.
 */
final class MadeVectors {
  private static final String SCOPE = "prompt_embeddings";
  private static final String NAME = "/" + SCOPE + "/Identity";

  private MadeVectors() {}

  /** Notes where the vectors are to be found. */
  static String noted(Attachment at, String vectors) {
    return at.node(SCOPE, "Identity", vectors);
  }

  /**
   * The adapter as files hold it: its vectors, computed in float64 and rounded once, in the place
   * of their network.
   *
   * @param alone the same prompt without a network
   */
  static AttachedAdapter stored(AttachedAdapter adapter, PromptMethod alone) {
    AttachedAdapter attached = alone.attach(adapter.base(), adapter.name(), 0);
    GraphEditor editor = attached.graph().edit();
    for (AdapterTensor tensor : attached.tensors()) {
      String name = tensor.initializer();
      editor.initializer(
          name,
          tensor.parameter().equals(PromptParts.VECTORS)
              ? of(adapter)
              : adapter.graph().initializer(name));
    }
    return new AttachedAdapter(
        adapter.name(),
        adapter.method(),
        adapter.base(),
        editor.build(),
        attached.tensors(),
        attached.targets());
  }

  /** The vectors, computed in float64 and rounded once. */
  static Tensor of(AttachedAdapter adapter) {
    String value =
        adapter.graph().nodes().stream()
            .filter(node -> node.tag().equals(adapter.name()) && node.name().startsWith(NAME))
            .map(Node::outputs)
            .map(outputs -> outputs.get(0))
            .findFirst()
            .orElseThrow(() -> new IllegalStateException("no vectors of " + adapter.name()));
    GraphEditor editor = adapter.graph().edit().clearOutputs();
    List.copyOf(adapter.graph().inputs()).forEach(input -> editor.removeInput(input.name()));
    Graph network = editor.output(Value.of(value, DType.FLOAT32)).prune().build();
    CompileOptions options = CompileOptions.evaluation().withPrecision(DType.FLOAT64);
    try (TorchProgram program = TorchEngine.compile(network, options)) {
      return program.run(Map.of()).values().iterator().next().cast(DType.FLOAT32);
    }
  }
}
