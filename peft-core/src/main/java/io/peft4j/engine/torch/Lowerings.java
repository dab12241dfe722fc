package io.peft4j.engine.torch;

import com.google.common.collect.ImmutableMap;
import io.peft4j.graph.Graph;
import io.peft4j.graph.Node;
import org.jspecify.annotations.Nullable;

/** The operators that the PyTorch engine knows, by name. */
final class Lowerings {
  private static final ImmutableMap<String, Lowering> ONNX =
      ImmutableMap.<String, Lowering>builder()
          .putAll(ElementwiseLowerings.TABLE)
          .putAll(LayoutLowerings.TABLE)
          .putAll(IndexLowerings.TABLE)
          .putAll(ReductionLowerings.TABLE)
          .putAll(LayerLowerings.TABLE)
          .putAll(ImageLowerings.TABLE)
          .putAll(QuantizationLowerings.TABLE)
          .build();

  /** Operators of ONNX Runtime's own set. */
  private static final ImmutableMap<String, Lowering> CONTRIBUTED =
      ImmutableMap.of("Inverse", LayerLowerings::inverse);

  private Lowerings() {}

  /** The lowering of a node's operator, or null. */
  static @Nullable Lowering find(Node node) {
    if (node.domain().isEmpty()) {
      return ONNX.get(node.op());
    }
    return switch (node.domain()) {
      case Graph.OWN_DOMAIN -> FusedLowerings.TABLE.get(node.op());
      case "com.microsoft" -> CONTRIBUTED.get(node.op());
      default -> null;
    };
  }
}
