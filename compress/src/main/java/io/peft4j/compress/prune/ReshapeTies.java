package io.peft4j.compress.prune;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Elements keep their order when a value gets another shape, so that the axes of both sides fall
 * into runs of equal size; one axis on one side of a run is split into, or made of, those on the
 * other.
 */
final class ReshapeTies {
  private final ValueShapes shapes;
  private final List<Tie> ties = new ArrayList<>();

  private ReshapeTies(ValueShapes shapes) {
    this.shapes = shapes;
  }

  /** The ties between a value and the one that its elements are laid out as. */
  static List<Tie> of(ValueShapes shapes, String in, String out) {
    ReshapeTies found = new ReshapeTies(shapes);
    found.find(in, out);
    return found.ties;
  }

  private void find(String in, String out) {
    int i = 0;
    int o = 0;
    while (i < shapes.rank(in) && o < shapes.rank(out)) {
      List<Integer> left = new ArrayList<>(List.of(i));
      List<Integer> right = new ArrayList<>(List.of(o));
      long sizeIn = shapes.size(in, i++);
      long sizeOut = shapes.size(out, o++);
      while (sizeIn != sizeOut) {
        if (sizeIn < sizeOut) {
          left.add(i);
          sizeIn *= shapes.size(in, i++);
        } else {
          right.add(o);
          sizeOut *= shapes.size(out, o++);
        }
      }
      run(in, wide(in, left), out, wide(out, right));
    }
  }

  /** Axes of one entry hold nothing that could be told apart. */
  private List<Integer> wide(String value, List<Integer> axes) {
    return axes.stream().filter(axis -> shapes.size(value, axis) > 1).toList();
  }

  private void run(String in, List<Integer> left, String out, List<Integer> right) {
    if (left.size() == 1) {
      coordinates(in, left.get(0), out, right);
    } else if (right.size() == 1) {
      coordinates(out, right.get(0), in, left);
    }
  }

  private void coordinates(String flat, int axis, String parts, List<Integer> axes) {
    int size = shapes.size(flat, axis);
    int inner = size;
    for (int part : axes) {
      int width = shapes.size(parts, part);
      inner /= width;
      int step = inner;
      int[] map =
          axes.size() == 1 ? null : IntStream.range(0, size).map(i -> i / step % width).toArray();
      ties.add(new Tie(new Axis(flat, axis), new Axis(parts, part), map));
    }
  }
}
