package io.peft4j.graph;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * What is known of a named value of a graph.
 *
 * @param name unique in its graph
 * @param dtype element type; null if the file does not say
 * @param shape sizes of the axes; null if not even their number is known
 */
public record Value(String name, @Nullable DType dtype, @Nullable List<Dim> shape) {
  public Value {
    shape = shape == null ? null : List.copyOf(shape);
  }

  /** A value whose axes are given as numbers (Integer or Long) or symbols (String). */
  public static Value of(String name, DType dtype, Object... sizes) {
    List<Dim> dims =
        Arrays.stream(sizes)
            .map(s -> s instanceof Number n ? Dim.of(n.longValue()) : Dim.of(s.toString()))
            .toList();
    return new Value(name, dtype, dims);
  }

  public Value withName(String newName) {
    return new Value(newName, dtype, shape);
  }

  @Override
  public String toString() {
    String type = dtype == null ? "?" : dtype.label();
    String axes =
        shape == null
            ? "[...]"
            : shape.stream().map(Dim::toString).collect(Collectors.joining(",", "[", "]"));
    return name + ": " + type + axes;
  }
}
