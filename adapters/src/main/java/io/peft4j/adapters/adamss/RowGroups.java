package io.peft4j.adapters.adamss;

import io.peft4j.PeftException;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.graph.Tensor;
import io.peft4j.math.KMeans;
import io.peft4j.math.LowRankSvd;
import io.peft4j.math.Matrix;
import io.peft4j.math.Svd;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The groups of a weight's rows. They stand in no file, so that every number here is found as PEFT
 * finds it with torch and scikit-learn.
 */
final class RowGroups {
  private static final int ITERATIONS = 10;
  private static final int KMEANS_SEED = 123456789;

  /**
   * @param rows of the weight, rising
   * @param leading the leading directions of these rows of U, [rank, directions]
   */
  private record Group(int[] rows, Matrix leading) {}

  private final Tensor directions;
  private final List<Group> groups;

  private RowGroups(Tensor directions, List<Group> groups) {
    this.directions = directions;
    this.groups = groups;
  }

  static RowGroups of(AdaptedLinear layer, Adamss method) {
    Tensor weight = weightAndBias(layer);
    int rank = Math.toIntExact(Math.min(method.rank(), Math.min(weight.dim(0), weight.dim(1))));
    LowRankSvd svd = LowRankSvd.of(weight, rank, method.randomSeed());
    int count = Math.min(method.numSubspaces(), layer.out());
    int[] labels = KMeans.labels(svd.u(), count, ITERATIONS, KMEANS_SEED);
    List<Group> groups = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int group = i;
      int[] rows = IntStream.range(0, labels.length).filter(r -> labels[r] == group).toArray();
      if (rows.length == 0) {
        throw new PeftException(
            "the rows of '%s' fall into fewer than %d groups; give a smaller num_subspaces"
                .formatted(layer.path(), count));
      }
      groups.add(new Group(rows, leading(svd.u().selected(0, rows), method, layer.path())));
    }
    return new RowGroups(svd.v().transposed(1, 0), groups);
  }

  /** [W b], float32 [out, in + 1], or W where there is no bias. */
  private static Tensor weightAndBias(AdaptedLinear layer) {
    float[] weight = layer.outFirstValues();
    Tensor bias = layer.biasValues();
    if (bias == null) {
      return Tensor.ofFloats(new long[] {layer.out(), layer.in()}, weight);
    }
    float[] last = bias.toFloats();
    int width = layer.in() + 1;
    float[] both = new float[layer.out() * width];
    for (int i = 0; i < layer.out(); i++) {
      System.arraycopy(weight, i * layer.in(), both, i * width, layer.in());
      both[i * width + layer.in()] = last[i];
    }
    return Tensor.ofFloats(new long[] {layer.out(), width}, both);
  }

  private static Matrix leading(Tensor rows, Adamss method, String path) {
    Svd svd = Svd.of(Matrix.of(rows));
    int rank = Math.toIntExact(Math.min(method.subspaceRank(), rows.dim(0)));
    if (method.useDynamicRank()) {
      double[] singular = svd.singular();
      double least = method.svdThreshold() * singular[0] * singular[0];
      rank = Math.min(rank, (int) Arrays.stream(singular).filter(s -> s * s > least).count());
    }
    Checks.atMost("subspace_rank", rank, Math.toIntExact(rows.dim(1)), path);
    return svd.vTransposed().rows(0, Math.max(1, rank));
  }

  /** V, float32 [directions, in + 1], or [directions, in] where there is no bias. */
  Tensor directions() {
    return directions;
  }

  int size() {
    return groups.size();
  }

  int[] rows(int group) {
    return groups.get(group).rows();
  }

  Matrix leading(int group) {
    return groups.get(group).leading();
  }

  /**
   * Where each element of all B in one matrix, int64 [out, sum of the ranks], stands among the
   * elements of B_0, B_1, … and one zero behind them.
   */
  Tensor places() {
    int out = groups.stream().mapToInt(g -> g.rows().length).sum();
    int width = groups.stream().mapToInt(g -> g.leading().rows()).sum();
    int zero = groups.stream().mapToInt(g -> g.rows().length * g.leading().rows()).sum();
    long[] places = new long[out * width];
    Arrays.fill(places, zero);
    int next = 0;
    int column = 0;
    for (Group group : groups) {
      int rank = group.leading().rows();
      for (int row : group.rows()) {
        for (int k = 0; k < rank; k++) {
          places[row * width + column + k] = next++;
        }
      }
      column += rank;
    }
    return Tensor.ofLongs(new long[] {out, width}, places);
  }
}
