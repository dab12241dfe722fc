package io.peft4j.math;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.PeftException;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MatrixTest {
  private static Matrix random(int rows, int columns, long seed) {
    Random random = new Random(seed);
    double[] values = new double[rows * columns];
    java.util.Arrays.setAll(values, i -> random.nextGaussian());
    return Matrix.of(rows, columns, values);
  }

  private static Matrix positive(int size, long seed) {
    Matrix root = random(size, size + 2, seed);
    return root.times(root.transposed());
  }

  private static void assertEqual(Matrix found, Matrix expected) {
    assertThat(found.rows()).isEqualTo(expected.rows());
    assertThat(found.columns()).isEqualTo(expected.columns());
    assertThat(found.values()).containsExactly(expected.values(), within(1e-10));
  }

  @Test
  void productsAreSumsOfProducts() {
    Matrix left = Matrix.of(2, 3, 1, 2, 3, 4, 5, 6);
    Matrix right = Matrix.of(3, 2, 7, 8, 9, 10, 11, 12);
    assertEqual(left.times(right), Matrix.of(2, 2, 58, 64, 139, 154));
    assertEqual(left.transposed(), Matrix.of(3, 2, 1, 4, 2, 5, 3, 6));
    assertEqual(left.scaledRows(2, 3), Matrix.of(2, 3, 2, 4, 6, 12, 15, 18));
    assertEqual(left.scaledColumns(1, 0, 2), Matrix.of(2, 3, 1, 0, 6, 4, 0, 12));
    assertEqual(left.columns(1, 3), Matrix.of(2, 2, 2, 3, 5, 6));
    assertEqual(left.rows(1, 2), Matrix.of(1, 3, 4, 5, 6));
    assertThat(left.norm()).isCloseTo(Math.sqrt(91), within(1e-12));
  }

  @ParameterizedTest
  @CsvSource({"5, 3", "3, 5", "4, 4", "1, 6"})
  void svdGivesTheMatrixBackFromOrthonormalFactors(int rows, int columns) {
    Matrix matrix = random(rows, columns, 1);
    Svd svd = Svd.of(matrix);
    int k = Math.min(rows, columns);
    assertEqual(svd.product(), matrix);
    assertEqual(svd.u().transposed().times(svd.u()), Matrix.identity(k));
    assertEqual(svd.vTransposed().times(svd.vTransposed().transposed()), Matrix.identity(k));
    assertThat(svd.singular()).isSortedAccordingTo((a, b) -> Double.compare(b, a));
  }

  @Test
  void theErrorOfATruncatedSvdIsWhatItLeftOut() {
    Matrix matrix = random(6, 9, 2);
    Svd svd = Svd.of(matrix);
    double[] s = svd.singular();
    double left = Math.sqrt(s[4] * s[4] + s[5] * s[5]);
    assertThat(matrix.minus(svd.truncated(4).product()).norm()).isCloseTo(left, within(1e-10));
  }

  @ParameterizedTest
  @CsvSource({"5, 3", "3, 5"})
  void qrIsOrthonormalTimesUpperTriangular(int rows, int columns) {
    Matrix matrix = random(rows, columns, 3);
    Qr qr = Qr.of(matrix);
    int k = Math.min(rows, columns);
    assertEqual(qr.q().times(qr.r()), matrix);
    assertEqual(qr.q().transposed().times(qr.q()), Matrix.identity(k));
    for (int i = 1; i < k; i++) {
      for (int j = 0; j < i; j++) {
        assertThat(qr.r().get(i, j)).isZero();
      }
    }
  }

  @Test
  void choleskySolvesAndInverts() {
    Matrix matrix = positive(6, 4);
    Cholesky cholesky = Cholesky.of(matrix);
    assertEqual(cholesky.lower().times(cholesky.lower().transposed()), matrix);
    assertThat(cholesky.lower().get(0, 5)).isZero();
    Matrix right = random(6, 2, 5);
    assertEqual(matrix.times(cholesky.solve(right)), right);
    assertEqual(cholesky.lower().times(cholesky.solveLower(right)), right);
    assertEqual(cholesky.lower().transposed().times(cholesky.solveUpper(right)), right);
    Matrix inverse = cholesky.inverse();
    assertEqual(matrix.times(inverse), Matrix.identity(6));
    assertThat(inverse.transposed().values()).containsExactly(inverse.values());
  }

  @Test
  void solvingAndInvertingUndoTheProduct() {
    Matrix matrix = random(5, 5, 6);
    Matrix x = random(5, 3, 7);
    assertEqual(matrix.solve(matrix.times(x)), x);
    assertEqual(matrix.times(matrix.inverse()), Matrix.identity(5));
  }

  @Test
  void eigenvaluesAndVectorsGiveTheMatrixBack() {
    Matrix matrix = positive(5, 8);
    SymmetricEigen eigen = SymmetricEigen.of(matrix);
    Matrix v = eigen.vectors();
    assertEqual(v.scaledColumns(eigen.values()).times(v.transposed()), matrix);
    assertEqual(v.transposed().times(v), Matrix.identity(5));
    assertThat(eigen.values()).isSorted();
  }

  @Test
  void singularAndIndefiniteMatricesAreRefused() {
    Matrix singular = Matrix.of(2, 2, 1, 2, 2, 4);
    assertThatThrownBy(singular::inverse)
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("inverting a matrix failed");
    assertThatThrownBy(() -> singular.solve(Matrix.identity(2))).isInstanceOf(PeftException.class);
    assertThatThrownBy(() -> Cholesky.of(Matrix.diagonal(1, -1)))
        .isInstanceOf(PeftException.class)
        .hasMessageContaining("positive-definite");
    assertThatThrownBy(() -> Svd.of(Matrix.of(1, 2, Double.NaN, 1)))
        .isInstanceOf(PeftException.class);
  }

  @Test
  void tensorsGoInAndOut() {
    Tensor tensor = Tensor.ofFloats(new long[] {2, 2}, 1.5f, -2, 0.1f, 4);
    assertThat(Matrix.of(tensor).toTensor(DType.FLOAT32).contentEquals(tensor)).isTrue();
  }
}
