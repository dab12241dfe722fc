package io.peft4j.math;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LowRankSvdTest {
  /** Of a matrix of that rank the basis is exact, whatever the seed. */
  @ParameterizedTest
  @CsvSource({"12, 7, 3", "7, 12, 3", "9, 9, 9", "5, 1, 1"})
  void aMatrixOfLowRankIsDecomposedWhole(int rows, int columns, int rank) {
    Matrix matrix = random(1, rows, rank).times(random(2, rank, columns));
    Svd exact = Svd.of(matrix).truncated(rank);
    LowRankSvd svd = LowRankSvd.of(matrix.toTensor(DType.FLOAT32), rank, 7);
    Matrix u = Matrix.of(svd.u());
    Matrix v = Matrix.of(svd.v());
    assertThat(u.transposed().times(u).minus(Matrix.identity(rank)).norm()).isLessThan(1e-5);
    assertThat(v.transposed().times(v).minus(Matrix.identity(rank)).norm()).isLessThan(1e-5);
    double[] singular = u.transposed().times(matrix).times(v).diagonal();
    assertThat(singular).containsExactly(exact.singular(), within(1e-4));
  }

  private static Matrix random(int seed, int rows, int columns) {
    float[] values = new TorchGenerator(seed).normal(rows * columns);
    return Matrix.of(Tensor.ofFloats(new long[] {rows, columns}, values));
  }
}
