package io.peft4j.graph.passes;

import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import org.jspecify.annotations.Nullable;

/** The forms that {@link Fusion} recognises, for those who only want to look. */
public final class Patterns {
  private Patterns() {}

  /**
   * The layer normalisation whose last node this is, whole or taken apart.
   *
   * @return a LayerNormalization node with inputs x, scale and bias; null if it is none
   */
  public static @Nullable Node layerNorm(GraphView view, Node node) {
    return node.is("LayerNormalization") ? node : LayerNormPattern.match(view, node);
  }

  /** The value that scales an RMS normalisation, if this node ends one; else null. */
  public static @Nullable String rmsNormWeight(GraphView view, Node node) {
    return RmsNormPattern.weight(view, node);
  }
}
