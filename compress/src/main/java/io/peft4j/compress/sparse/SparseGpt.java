package io.peft4j.compress.sparse;

import io.peft4j.PeftException;
import io.peft4j.math.Cholesky;
import io.peft4j.math.Matrix;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * SparseGPT (Frantar and Alistarh 2023, arXiv 2301.00774, algorithm 1): columns are gone through
 * from the first to the last; what a weight that goes leaves missing in its row's output is made up
 * for by the weights in the columns behind, as the optimal brain surgeon does with the inverse of H
 * = 2 Xᵀ X + λ I. With U, the upper Cholesky factor of H⁻¹, the step for column j is w ← w − w_j /
 * U_jj · U_j. Which weights go is decided for 128 columns at once, by w² / U_jj². A factor on H
 * changes nothing, since λ is relative to it.
 */
final class SparseGpt {
  private static final int BLOCK = 128;

  /** λ as a share of the mean of H's diagonal. */
  private static final double DAMPING = 0.01;

  private final SparseLayer layer;
  private final Pattern pattern;
  private final double[] weight;
  private final double[] factor; // U, [in, in]
  private long dropped;

  private SparseGpt(SparseLayer layer, Matrix weight, Matrix factor, Pattern pattern) {
    this.layer = layer;
    this.pattern = pattern;
    this.weight = weight.values();
    this.factor = factor.values();
  }

  /**
   * The weight with zeros.
   *
   * @param weight [out, in]
   * @param products Xᵀ X, [in, in]
   */
  static Matrix solve(SparseLayer layer, Matrix weight, Matrix products, Pattern pattern) {
    if (pattern instanceof Pattern.NofM groups) {
      layer.requireGroupsOf(groups.group());
    }
    double mean = Arrays.stream(products.diagonal()).average().orElse(0);
    if (!(mean > 0)) {
      throw new PeftException(
          "layer '%s' is given nothing but zeros by the calibration data; use other data or leave it out of the targets"
              .formatted(layer.path()));
    }
    double[] damping = new double[layer.in()];
    Arrays.fill(damping, DAMPING * mean);
    Matrix inverse = Cholesky.of(products.plus(Matrix.diagonal(damping))).inverse();
    Matrix upper = Cholesky.of(inverse).lower().transposed();
    return new SparseGpt(layer, weight, upper, pattern).run();
  }

  private Matrix run() {
    int in = layer.in();
    int width = blockWidth();
    for (int from = 0; from < in; from += width) {
      int to = Math.min(in, from + width);
      Matrix errors = block(from, to);
      if (to < in) {
        Matrix rest = Matrix.of(in, in, factor).rows(from, to).columns(to, in);
        subtract(errors.times(rest).values(), to);
      }
    }
    return Matrix.of(layer.out(), in, weight);
  }

  /** Groups are never cut by the end of a block. */
  private int blockWidth() {
    if (pattern instanceof Pattern.NofM groups) {
      return Math.max(1, BLOCK / groups.group()) * groups.group();
    }
    return BLOCK;
  }

  private void subtract(double[] change, int to) {
    int rest = layer.in() - to;
    for (int row = 0; row < layer.out(); row++) {
      for (int j = 0; j < rest; j++) {
        weight[row * layer.in() + to + j] -= change[row * rest + j];
      }
    }
  }

  /** Goes through the columns of a block; gives w_j / U_jj of what went, [out, columns]. */
  private Matrix block(int from, int to) {
    int width = to - from;
    boolean[] keep = new boolean[layer.out() * width];
    Arrays.fill(keep, true);
    if (pattern instanceof Pattern.Share share) {
      choose(keep, share, from, to);
    }
    double[] errors = new double[layer.out() * width];
    IntStream.range(0, layer.out())
        .parallel() // rows do not know of each other
        .forEach(row -> row(row, from, to, keep, errors));
    return Matrix.of(layer.out(), width, errors);
  }

  private void choose(boolean[] keep, Pattern.Share share, int from, int to) {
    int width = to - from;
    float[] scores = new float[keep.length];
    for (int row = 0; row < layer.out(); row++) {
      for (int j = from; j < to; j++) {
        scores[row * width + j - from] = score(row, j);
      }
    }
    if (share.scope() == Pattern.Scope.ROW) {
      int count = (int) (share.count(to) - share.count(from));
      for (int row = 0; row < layer.out(); row++) {
        Masks.dropLeast(scores, keep, row * width, (row + 1) * width, count);
      }
      return;
    }
    long count = share.count((long) to * layer.out()) - dropped;
    dropped += count;
    Masks.dropLeast(scores, keep, 0, scores.length, (int) count);
  }

  private float score(int row, int column) {
    double w = weight[row * layer.in() + column] / factor[column * layer.in() + column];
    return (float) (w * w);
  }

  private void row(int row, int from, int to, boolean[] keep, double[] errors) {
    int width = to - from;
    int in = layer.in();
    for (int j = from; j < to; j++) {
      if (pattern instanceof Pattern.NofM groups && j % groups.group() == 0) {
        float[] scores = new float[groups.group()];
        boolean[] stay = new boolean[groups.group()];
        Arrays.fill(stay, true);
        for (int i = 0; i < scores.length; i++) {
          scores[i] = score(row, j + i);
        }
        Masks.dropLeast(scores, stay, 0, scores.length, groups.group() - groups.kept());
        System.arraycopy(stay, 0, keep, row * width + j - from, stay.length);
      }
      if (keep[row * width + j - from]) {
        continue;
      }
      double error = weight[row * in + j] / factor[j * in + j];
      weight[row * in + j] = 0;
      errors[row * width + j - from] = error;
      for (int k = j + 1; k < to; k++) {
        weight[row * in + k] -= error * factor[j * in + k];
      }
    }
  }
}
