package io.peft4j.compress.prune;

import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** What a Slice takes of an axis. */
final class Slices {
  private Slices() {}

  /**
   * The entries of the input that the output has, in order; null if that is not known before a run.
   */
  static int @Nullable [] entries(GraphView view, ValueShapes shapes, Node slice, int axis) {
    String x = slice.requiredInput(0);
    int size = shapes.size(x, axis);
    int position = position(view, shapes, slice, axis);
    if (position == UNTOUCHED) {
      return IntStream.range(0, size).toArray();
    }
    Tensor starts = view.constant(slice.requiredInput(1));
    Tensor steps = view.constant(slice.input(4));
    boolean stepsKnown = slice.input(4) == null || steps != null;
    if (position == UNKNOWN || starts == null || !stepsKnown) {
      return null;
    }
    long step = steps == null ? 1 : steps.toLongs()[position];
    long start = starts.toLongs()[position];
    if (step != 1) {
      return null;
    }
    int from = Math.toIntExact(Math.max(0, Math.min(size, start < 0 ? start + size : start)));
    return IntStream.range(from, from + shapes.size(slice.output(), axis)).toArray();
  }

  static final int UNTOUCHED = -1;
  static final int UNKNOWN = -2;

  /** Where an axis stands among those that are sliced. */
  static int position(GraphView view, ValueShapes shapes, Node slice, int axis) {
    int rank = shapes.rank(slice.requiredInput(0));
    int count = shapes.size(slice.requiredInput(1), 0);
    if (slice.input(3) == null) {
      return axis < count ? axis : UNTOUCHED;
    }
    Tensor axes = view.constant(slice.input(3));
    if (axes == null) {
      return UNKNOWN;
    }
    long[] named = axes.toLongs();
    for (int i = 0; i < named.length; i++) {
      if ((named[i] < 0 ? named[i] + rank : named[i]) == axis) {
        return i;
      }
    }
    return UNTOUCHED;
  }
}
