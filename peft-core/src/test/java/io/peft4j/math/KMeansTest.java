package io.peft4j.math;

import static org.assertj.core.api.Assertions.assertThat;

import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** The golden case of AdaMSS holds the labels against scikit-learn's; this is what it leaves. */
class KMeansTest {
  /**
   * Against numpy's {@code RandomState(42)}, whose numbers start 0.3745, 0.9507, 0.7320, 0.5987.
   */
  @Test
  void choosesAsNumpyDoes() {
    assertThat(KMeans.choice(new TorchGenerator(42), 10, 3)).containsExactly(3, 9, 7);
  }

  @Test
  void drawsAgainWhatWasChosenTwice() {
    assertThat(KMeans.choice(new TorchGenerator(42), 3, 3)).containsExactly(1, 2, 0);
    assertThat(KMeans.choice(new TorchGenerator(42), 8, 7)).containsExactly(2, 7, 5, 4, 1, 0, 6);
  }

  @Test
  void eachRowEndsInTheGroupOfTheNearestMean() {
    Matrix points =
        Matrix.of(Tensor.ofFloats(new long[] {60, 3}, new TorchGenerator(1).normal(180)));
    int[] labels = KMeans.labels(points.toTensor(DType.FLOAT32), 4, 1000, 3);
    Matrix members = membership(labels);
    double[] sizes = members.times(members.transposed()).diagonal();
    Matrix means =
        members.times(points).scaledRows(Arrays.stream(sizes).map(size -> 1 / size).toArray());
    for (int i = 0; i < labels.length; i++) {
      Matrix row = points.rows(i, i + 1);
      double own = row.minus(means.rows(labels[i], labels[i] + 1)).norm();
      for (int j = 0; j < 4; j++) {
        assertThat(own).isLessThanOrEqualTo(row.minus(means.rows(j, j + 1)).norm());
      }
    }
  }

  /** Ones where a row [column] belongs to a group [row]. */
  private static Matrix membership(int[] labels) {
    double[] ones = new double[4 * labels.length];
    for (int i = 0; i < labels.length; i++) {
      ones[labels[i] * labels.length + i] = 1;
    }
    return Matrix.of(4, labels.length, ones);
  }

  @Test
  void asManyGroupsAsRowsHaveOneEach() {
    Tensor points = Tensor.ofFloats(new long[] {4, 1}, 3, 1, 4, 2);
    assertThat(KMeans.labels(points, 4, 10, 1)).containsExactlyInAnyOrder(0, 1, 2, 3);
  }

  /** Rows that are all the same have one nearest centre. */
  @Test
  void equalRowsLeaveGroupsEmpty() {
    Tensor points = Tensor.ofFloats(new long[] {5, 1}, 2, 2, 2, 2, 2);
    assertThat(KMeans.labels(points, 3, 10, 1)).containsOnly(0);
  }
}
