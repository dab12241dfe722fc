package io.peft4j.graph;

import org.jspecify.annotations.Nullable;

/**
 * How a value leads back to an initializer through casts and transposes alone.
 *
 * @param initializer the name of the initializer
 * @param tensor what it holds
 * @param transposed whether an odd number of transposes of two axes lies between
 * @param compute the element type that the value has
 */
public record WeightPath(String initializer, Tensor tensor, boolean transposed, DType compute) {

  /**
   * Follows a value back; null if it is not made of an initializer by Cast, Identity and Transpose
   * of two axes.
   */
  public static @Nullable WeightPath of(GraphView view, @Nullable String value) {
    boolean transposed = false;
    DType compute = null;
    String current = value;
    while (current != null) {
      Tensor tensor = view.graph().initializers().get(current);
      if (tensor != null) {
        return new WeightPath(
            current, tensor, transposed, compute == null ? tensor.dtype() : compute);
      }
      Node node = view.producer(current);
      if (node == null || !node.domain().isEmpty()) {
        return null;
      }
      switch (node.op()) {
        case "Identity" -> {}
        case "Cast" -> {
          if (compute == null) {
            compute = DType.ofOnnxCode((int) node.intAttribute("to", 1));
          }
        }
        case "Transpose" -> {
          long[] order = node.intsAttribute("perm");
          boolean swap = order == null || (order.length == 2 && order[0] == 1 && order[1] == 0);
          if (!swap) {
            return null;
          }
          transposed = !transposed;
        }
        default -> {
          return null;
        }
      }
      current = node.input(0);
    }
    return null;
  }
}
