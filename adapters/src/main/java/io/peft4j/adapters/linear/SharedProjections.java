package io.peft4j.adapters.linear;

import io.peft4j.graph.Tensor;
import io.peft4j.math.TorchGenerator;
import io.peft4j.site.LinearSite;
import java.util.function.Supplier;
import java.util.function.ToLongFunction;

/**
 * Two random, frozen matrices for all targets, as VeRA has them: A [rows, in] and B [out, r] for
 * the largest sizes that a target has, Kaiming-uniform numbers of one of torch's generators, B's
 * behind A's. Each layer takes its part.
 *
 * @param a the part of A for one layer, [rows, in]
 * @param b the part of B, [out, r]
 */
public record SharedProjections(Expression a, Expression b) {
  /**
   * @param prefix of the names of A and B
   * @param rows of A
   * @param rank r
   * @param stored whether files hold them; otherwise they are made anew from the seed
   */
  public static SharedProjections of(
      AdaptedLinear layer, String prefix, int rows, int rank, long seed, boolean stored) {
    int in = largest(layer, LinearSite::inFeatures);
    int out = largest(layer, LinearSite::outFeatures);
    Expression a = shared(layer, prefix + "A", stored, () -> drawn(seed, 0, rows, in));
    Expression b = shared(layer, prefix + "B", stored, () -> drawn(seed, rows * in, out, rank));
    return new SharedProjections(a.sliced(1, 0, layer.in()), b.sliced(0, 0, layer.out()));
  }

  private static int largest(AdaptedLinear layer, ToLongFunction<LinearSite> size) {
    return Math.toIntExact(layer.all().stream().mapToLong(size).max().orElseThrow());
  }

  private static Expression shared(
      AdaptedLinear layer, String name, boolean stored, Supplier<Tensor> values) {
    return stored ? layer.sharedStored(name, values) : layer.sharedConstant(name, values);
  }

  private static Tensor drawn(long seed, int skipped, int rows, int columns) {
    TorchGenerator generator = new TorchGenerator(seed);
    generator.skip(skipped);
    float bound = (float) Math.sqrt(6.0 / columns);
    return Tensor.ofFloats(new long[] {rows, columns}, generator.uniform(rows * columns, bound));
  }
}
