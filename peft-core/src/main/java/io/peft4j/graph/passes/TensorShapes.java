package io.peft4j.graph.passes;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.primitives.Longs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** Arithmetic of known shapes. */
public final class TensorShapes {
  private TensorShapes() {}

  /** The shape that two shapes broadcast to, as numpy does it. */
  public static long[] broadcast(long[] a, long[] b) {
    long[] result = new long[Math.max(a.length, b.length)];
    for (int i = 1; i <= result.length; i++) {
      long x = i <= a.length ? a[a.length - i] : 1;
      long y = i <= b.length ? b[b.length - i] : 1;
      checkArgument(
          x == y || x == 1 || y == 1,
          "%s and %s do not broadcast",
          Arrays.toString(a),
          Arrays.toString(b));
      result[result.length - i] = x == 1 ? y : x;
    }
    return result;
  }

  /** An axis counted from the front. */
  public static int axis(long axis, int rank) {
    checkArgument(axis >= -rank && axis < rank, "axis %s is outside rank %s", axis, rank);
    return (int) (axis < 0 ? axis + rank : axis);
  }

  /** The shape with axes of size 1 put in so that they stand at these places of the result. */
  public static long[] unsqueezed(long[] shape, long[] axes) {
    int rank = shape.length + axes.length;
    TreeSet<Integer> places = new TreeSet<>();
    for (long axis : axes) {
      places.add(axis(axis, rank));
    }
    List<Long> result = new ArrayList<>(Longs.asList(shape));
    places.forEach(place -> result.add(place, 1L));
    return Longs.toArray(result);
  }

  /** The shape without these axes; without all of size 1 if none are named. */
  public static long[] squeezed(long[] shape, long @Nullable [] axes) {
    List<Long> result = new ArrayList<>();
    for (int i = 0; i < shape.length; i++) {
      int place = i;
      boolean drop =
          axes == null
              ? shape[i] == 1
              : Arrays.stream(axes).anyMatch(a -> axis(a, shape.length) == place);
      if (!drop) {
        result.add(shape[i]);
      }
    }
    return Longs.toArray(result);
  }
}
