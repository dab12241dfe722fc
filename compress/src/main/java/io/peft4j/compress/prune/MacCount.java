package io.peft4j.compress.prune;

import io.peft4j.graph.Graph;
import io.peft4j.graph.Node;
import java.util.function.ToIntFunction;

/**
 * Counts multiply-accumulate operations: those of matrix products and convolutions, which are
 * nearly all of a network's. One is two floating-point operations.
 */
final class MacCount {
  private final ValueShapes shapes;
  private final ToIntFunction<Axis> size;

  private MacCount(ValueShapes shapes, ToIntFunction<Axis> size) {
    this.shapes = shapes;
    this.size = size;
  }

  /** The count of the run that the shapes are of. */
  static long of(Graph graph, ValueShapes shapes) {
    return of(graph, shapes, shapes::size);
  }

  /**
   * The count of that run if some axes had other sizes.
   *
   * @param size of an axis
   */
  static long of(Graph graph, ValueShapes shapes, ToIntFunction<Axis> size) {
    MacCount count = new MacCount(shapes, size);
    return graph.nodes().stream().mapToLong(count::of).sum();
  }

  private long of(Node node) {
    if (node.is("MatMul")) {
      String a = node.requiredInput(0);
      return elements(node.output(), 0) * size.applyAsInt(new Axis(a, shapes.rank(a) - 1));
    }
    if (node.is("Gemm")) {
      int contracted = node.intAttribute("transA", 0) == 1 ? 0 : 1;
      return elements(node.output(), 0)
          * size.applyAsInt(new Axis(node.requiredInput(0), contracted));
    }
    if (node.is("Conv")) {
      // each output is made of the weights of one filter
      return elements(node.output(), 0) * elements(node.requiredInput(1), 1);
    }
    return 0;
  }

  private long elements(String value, int from) {
    long product = 1;
    for (int axis = from; axis < shapes.rank(value); axis++) {
      product *= size.applyAsInt(new Axis(value, axis));
    }
    return product;
  }
}
