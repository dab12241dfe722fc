package io.peft4j.compress.sparse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.PeftException;
import io.peft4j.compress.LinearLayers;
import io.peft4j.graph.DType;
import io.peft4j.math.Matrix;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Held against the optimal brain surgeon written plainly, with an inverse for each step. */
class SparseGptTest {
  private static SparseLayer layer(int out, int in) {
    return new SparseLayer("dense", "dense.weight", false, out, in, List.of("x"));
  }

  private static Matrix damped(Matrix products) {
    double mean = java.util.Arrays.stream(products.diagonal()).average().orElseThrow();
    double[] damping = new double[products.rows()];
    java.util.Arrays.fill(damping, 0.01 * mean);
    return products.plus(Matrix.diagonal(damping));
  }

  private static Matrix products(Matrix x) {
    return x.transposed().times(x);
  }

  /**
   * Column after column: the inverse of the Hessian of the columns from here on tells what a weight
   * that goes costs and how the later ones make up for it.
   */
  private static Matrix reference(Matrix weight, Matrix hessian, Pattern pattern) {
    int out = weight.rows();
    int in = weight.columns();
    double[] w = weight.values();
    boolean[] goes = new boolean[out * in];
    boolean whole = pattern instanceof Pattern.Share;
    double[] price = new double[in];
    Matrix[] inverses = new Matrix[in];
    for (int j = 0; j < in; j++) {
      inverses[j] = hessian.rows(j, in).columns(j, in).inverse();
      price[j] = inverses[j].get(0, 0);
    }
    if (whole) { // fewer columns than a block: all are chosen at the start
      choose(
          w,
          price,
          goes,
          java.util.stream.IntStream.range(0, out * in).toArray(),
          in,
          (int) (((Pattern.Share) pattern).sparsity() * out * in));
    }
    for (int j = 0; j < in; j++) {
      if (!whole && j % ((Pattern.NofM) pattern).group() == 0) {
        int group = ((Pattern.NofM) pattern).group();
        for (int row = 0; row < out; row++) {
          int first = row * in + j;
          choose(
              w,
              price,
              goes,
              java.util.stream.IntStream.range(first, first + group).toArray(),
              in,
              group - ((Pattern.NofM) pattern).kept());
        }
      }
      for (int row = 0; row < out; row++) {
        if (goes[row * in + j]) {
          double factor = w[row * in + j] / price[j];
          for (int k = j; k < in; k++) {
            w[row * in + k] -= factor * inverses[j].get(0, k - j);
          }
          w[row * in + j] = 0;
        }
      }
    }
    return Matrix.of(out, in, w);
  }

  private static void choose(
      double[] w, double[] price, boolean[] goes, int[] among, int in, int count) {
    java.util.stream.IntStream.of(among)
        .boxed()
        .sorted(java.util.Comparator.comparingDouble(i -> w[i] * w[i] / price[i % in]))
        .limit(count)
        .forEach(i -> goes[i] = true);
  }

  @ParameterizedTest
  @ValueSource(strings = {"0.5", "0.3", "2:4", "1:4"})
  void weightsAreThoseOfTheOptimalBrainSurgeon(String text) {
    Pattern pattern =
        text.contains(":") ? Pattern.parse(text) : Pattern.share(Double.parseDouble(text));
    Matrix weight = LinearLayers.normal(6, 16, new Random(1));
    Matrix products = products(LinearLayers.correlated(50, 16, 2));
    Matrix found = SparseGpt.solve(layer(6, 16), weight, products, pattern);
    assertThat(found.values())
        .containsExactly(reference(weight, damped(products), pattern).values(), within(1e-8));
  }

  /** Every choice of one weight of a row, with the best values for those behind it, is tried. */
  @Test
  void oneWeightOfFourGoesAsWellAsAnyChoiceAllows() {
    for (int seed = 0; seed < 20; seed++) {
      Matrix products = products(LinearLayers.correlated(30, 4, seed));
      Matrix hessian = damped(products);
      Matrix weight = LinearLayers.normal(1, 4, new Random(seed + 100));
      Matrix best = weight;
      double least = Double.POSITIVE_INFINITY;
      for (int gone = 0; gone < 4; gone++) {
        Matrix candidate = without(weight, gone, hessian);
        Matrix change = weight.minus(candidate);
        double cost = change.times(hessian).times(change.transposed()).get(0, 0);
        if (cost < least) {
          least = cost;
          best = candidate;
        }
      }
      Matrix found = SparseGpt.solve(layer(1, 4), weight, products, Pattern.share(0.25));
      assertThat(found.values()).containsExactly(best.values(), within(1e-9));
    }
  }

  /** Zero in one place, the values behind it those that least squares gives. */
  private static Matrix without(Matrix weight, int gone, Matrix hessian) {
    double[] best = weight.values();
    if (gone < 3) {
      Matrix inner = hessian.rows(gone + 1, 4).columns(gone + 1, 4);
      Matrix pull = hessian.rows(gone + 1, 4).columns(gone, gone + 1).scaled(best[gone]);
      double[] change = inner.solve(pull).values();
      for (int i = 0; i < change.length; i++) {
        best[gone + 1 + i] += change[i];
      }
    }
    best[gone] = 0;
    return Matrix.of(1, 4, best);
  }

  @ParameterizedTest
  @ValueSource(strings = {"0.3", "0.5", "0.7", "2:4", "1:4"})
  void theOutputErrorIsBelowMagnitudeAndWanda(String text) {
    Pattern pattern =
        text.contains(":") ? Pattern.parse(text) : Pattern.share(Double.parseDouble(text));
    // more columns than a block
    Matrix weight = LinearLayers.normal(24, 200, new Random(3));
    Matrix rows = LinearLayers.correlated(400, 200, 4);
    double sparsegpt = error(Importance.SPARSEGPT, pattern, weight, rows);
    double wanda = error(Importance.WANDA, pattern, weight, rows);
    double magnitude = error(Importance.MAGNITUDE, pattern, weight, rows);
    assertThat(sparsegpt).isLessThan(wanda);
    assertThat(wanda).isLessThan(magnitude);
  }

  private static double error(Importance importance, Pattern pattern, Matrix weight, Matrix rows) {
    SparseModel sparse =
        Sparsification.of(importance, pattern)
            .apply(
                LinearLayers.of(Map.of("dense", weight.toTensor(DType.FLOAT32))),
                LinearLayers.calibration(rows),
                layer -> {});
    LayerSparsity layer = sparse.layers().get(0);
    assertThat(layer.zeros()).isEqualTo(Math.round(pattern.target() * layer.weights()));
    Matrix after = Matrix.of(sparse.model().graph().initializer("dense.weight"));
    double direct =
        rows.times(weight.minus(after).transposed()).norm()
            / rows.times(weight.transposed()).norm();
    assertThat(layer.outputError().orElseThrow()).isCloseTo(direct, within(1e-4));
    return direct;
  }

  @Test
  void whatTheDataNeverReachIsRefused() {
    assertThatThrownBy(
            () ->
                SparseGpt.solve(
                    layer(2, 4), Matrix.zeros(2, 4), Matrix.zeros(4, 4), Pattern.share(0.5)))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("'dense' is given nothing but zeros");
  }
}
