package io.peft4j.adapters.prompt;

import io.peft4j.UnsupportedModelException;
import io.peft4j.graph.GraphView;
import io.peft4j.graph.Node;
import io.peft4j.graph.Tensor;
import io.peft4j.site.AttentionSite;
import io.peft4j.site.LinearSite;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How an attention divides its keys.
 *
 * @param heads of keys and values
 * @param width of each
 */
record AttentionHeads(int heads, int width) {
  /**
   * Reads it off the node that divides the keys.
   *
   * @throws UnsupportedModelException if the graph does not say it in numbers
   */
  static AttentionHeads of(GraphView view, AttentionSite site) {
    LinearSite key = site.key();
    int parts = site.query().equals(key) ? 3 : 1;
    int out = Math.toIntExact(key.outFeatures()) / parts;
    String value = key.output();
    for (Node next = next(view, value); next != null; next = next(view, value)) {
      if (next.is("Reshape") && rank(view, next.requiredInput(1)) == 4) {
        long heads = number(view, next.requiredInput(1), -2);
        long width = number(view, next.requiredInput(1), -1);
        if (width > 0 && out % width == 0) {
          return new AttentionHeads((int) (out / width), (int) width);
        }
        if (heads > 0 && out % heads == 0) {
          return new AttentionHeads((int) heads, (int) (out / heads));
        }
        break;
      }
      value = next.output();
    }
    throw new UnsupportedModelException(
        "how many heads '%s' has is not to be seen in the graph; export the model with fixed sizes"
            .formatted(site.path()));
  }

  private static @Nullable Node next(GraphView view, String value) {
    return view.consumers(value).stream()
        .filter(node -> !node.is("Shape"))
        .findFirst()
        .orElse(null);
  }

  /** How many axes a shape has; -1 if the graph does not say. */
  static int rank(GraphView view, String shape) {
    Tensor whole = view.constant(shape);
    if (whole != null) {
      return Math.toIntExact(whole.size());
    }
    Node concat = view.producer(shape, "Concat");
    return concat == null ? -1 : concat.inputs().size();
  }

  /** An element of a shape, counted from the end; -1 if it is not a number in the graph. */
  private static long number(GraphView view, String shape, int fromEnd) {
    Tensor whole = view.constant(shape);
    if (whole != null) {
      long[] sizes = whole.toLongs();
      return sizes.length + fromEnd >= 0 ? sizes[sizes.length + fromEnd] : -1;
    }
    Node concat = view.producer(shape, "Concat");
    if (concat == null) {
      return -1;
    }
    List<String> parts = concat.inputs();
    Tensor part =
        parts.size() + fromEnd >= 0 ? view.constant(parts.get(parts.size() + fromEnd)) : null;
    return part != null && part.size() == 1 ? part.toLongs()[0] : -1;
  }
}
