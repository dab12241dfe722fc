package io.peft4j.adapters.c3a;

import io.peft4j.PeftException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.adapters.linear.Patterns;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;

/**
 * C3A (Chen et al., arXiv 2407.19342): the update consists of circulant blocks of size b, each made
 * of one kernel of b numbers: its element [k, s] is kernel[(s − k) mod b] / in. The kernels start
 * uniform (Xavier), as PEFT's do, so that the model starts slightly changed.
 *
 * @param blockSize b, which must divide the sizes of the layers
 * @param blockSizePattern other sizes, by expressions that match the end of a module's path
 */
public record C3a(
    int blockSize,
    Targets targets,
    Map<String, Integer> blockSizePattern,
    List<String> modulesToSave)
    implements LinearMethod {

  public C3a {
    Checks.atLeast("blockSize", blockSize, 1);
    blockSizePattern = Patterns.copy(blockSizePattern);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** C3A of a block size on the feed-forward blocks. */
  public static C3a block(int size) {
    return new C3a(size, Targets.feedForward(), Map.of(), List.of());
  }

  public C3a on(Targets newTargets) {
    return new C3a(blockSize, newTargets, blockSizePattern, modulesToSave);
  }

  @Override
  public String name() {
    return "c3a";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int b = Patterns.pick(blockSizePattern, layer.path(), blockSize);
    if (layer.in() % b != 0 || layer.out() % b != 0) {
      throw new PeftException(
          "'%s' is [%d, %d], which blocks of %d do not divide; give a block_size that divides both"
              .formatted(layer.path(), layer.out(), layer.in(), b));
    }
    int rows = layer.out() / b;
    int columns = layer.in() / b;
    double bound = Math.sqrt(6.0 / (layer.in() + layer.out()));
    Expression kernel = layer.parameter("c3a_kernel", layer.uniform(bound, rows, columns, b));
    Expression places = layer.constant("c3a_places", places(layer.out(), layer.in(), b));
    Expression update =
        kernel.reshaped((long) rows * columns * b).gathered(0, places).times(1.0 / layer.in());
    return layer.plusUpdate(update, 0, 0);
  }

  /** Where in the kernels each element of the update stands, int64 [out, in]. */
  private static Tensor places(int out, int in, int b) {
    long[] places = new long[out * in];
    for (int o = 0; o < out; o++) {
      for (int i = 0; i < in; i++) {
        int block = (o / b) * (in / b) + i / b;
        places[o * in + i] = (long) block * b + Math.floorMod(i - o, b);
      }
    }
    return Tensor.ofLongs(new long[] {out, in}, places);
  }
}
