package io.peft4j.math;

import static com.google.common.base.Preconditions.checkArgument;

import io.peft4j.engine.torch.TorchFunction;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.Arrays;
import java.util.function.DoubleBinaryOperator;

/** An immutable matrix of float64 numbers, row by row. */
public final class Matrix {
  private static final class Functions {
    static final TorchFunction PRODUCT =
        TorchFunction.of("the product of two matrices", 2, "torch.matmul(x0, x1)");
    static final TorchFunction SOLVE =
        TorchFunction.of("solving a linear system", 2, "torch.linalg_solve(x0, x1)");
    static final TorchFunction INVERSE =
        TorchFunction.of("inverting a matrix", 1, "torch.linalg_inv(x0)");
  }

  private final int rows;
  private final int columns;
  private final double[] values;

  private Matrix(int rows, int columns, double[] values) {
    this.rows = rows;
    this.columns = columns;
    this.values = values;
  }

  /** A matrix of these numbers, row by row; they are copied. */
  public static Matrix of(int rows, int columns, double... values) {
    checkArgument(
        rows >= 0 && columns >= 0 && values.length == Math.multiplyExact(rows, columns),
        "a matrix [%s, %s] needs as many numbers, was given %s",
        rows,
        columns,
        values.length);
    return new Matrix(rows, columns, values.clone());
  }

  /** The numbers of a tensor of two axes and any type that can be computed with. */
  public static Matrix of(Tensor tensor) {
    checkArgument(tensor.rank() == 2, "a matrix has two axes, was given %s", tensor);
    return new Matrix(
        Math.toIntExact(tensor.dim(0)), Math.toIntExact(tensor.dim(1)), tensor.toDoubles());
  }

  public static Matrix zeros(int rows, int columns) {
    return new Matrix(rows, columns, new double[Math.multiplyExact(rows, columns)]);
  }

  public static Matrix identity(int size) {
    double[] ones = new double[size];
    Arrays.fill(ones, 1);
    return diagonal(ones);
  }

  /** A square matrix with these numbers on its diagonal and zeros elsewhere. */
  public static Matrix diagonal(double... diagonal) {
    int size = diagonal.length;
    double[] all = new double[Math.multiplyExact(size, size)];
    for (int i = 0; i < size; i++) {
      all[i * size + i] = diagonal[i];
    }
    return new Matrix(size, size, all);
  }

  public int rows() {
    return rows;
  }

  public int columns() {
    return columns;
  }

  public double get(int row, int column) {
    checkArgument(
        row >= 0 && row < rows && column >= 0 && column < columns,
        "(%s, %s) is outside of [%s, %s]",
        row,
        column,
        rows,
        columns);
    return values[row * columns + column];
  }

  /** All numbers row by row, a copy. */
  public double[] values() {
    return values.clone();
  }

  /** The same numbers as a tensor [rows, columns], each rounded once. */
  public Tensor toTensor(DType dtype) {
    return Tensor.ofDoubles(new long[] {rows, columns}, values).cast(dtype);
  }

  Tensor toTensor() {
    return toTensor(DType.FLOAT64);
  }

  public double[] diagonal() {
    double[] diagonal = new double[Math.min(rows, columns)];
    for (int i = 0; i < diagonal.length; i++) {
      diagonal[i] = values[i * columns + i];
    }
    return diagonal;
  }

  public Matrix transposed() {
    double[] turned = new double[values.length];
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) {
        turned[j * rows + i] = values[i * columns + j];
      }
    }
    return new Matrix(columns, rows, turned);
  }

  /** Rows from the first (inclusive) to the second (exclusive). */
  public Matrix rows(int from, int to) {
    checkArgument(from >= 0 && from <= to && to <= rows, "no rows %s to %s in %s", from, to, this);
    return new Matrix(to - from, columns, Arrays.copyOfRange(values, from * columns, to * columns));
  }

  /** Columns from the first (inclusive) to the second (exclusive). */
  public Matrix columns(int from, int to) {
    checkArgument(
        from >= 0 && from <= to && to <= columns, "no columns %s to %s in %s", from, to, this);
    int width = to - from;
    double[] part = new double[rows * width];
    for (int i = 0; i < rows; i++) {
      System.arraycopy(values, i * columns + from, part, i * width, width);
    }
    return new Matrix(rows, width, part);
  }

  /** The matrix product. */
  public Matrix times(Matrix right) {
    checkArgument(columns == right.rows, "%s and %s have no product", this, right);
    return of(Functions.PRODUCT.apply(toTensor(), right.toTensor()).get(0));
  }

  public Matrix plus(Matrix other) {
    return combined(other, Double::sum);
  }

  public Matrix minus(Matrix other) {
    return combined(other, (a, b) -> a - b);
  }

  private Matrix combined(Matrix other, DoubleBinaryOperator operator) {
    checkArgument(
        rows == other.rows && columns == other.columns, "%s and %s differ in size", this, other);
    double[] result = new double[values.length];
    Arrays.setAll(result, i -> operator.applyAsDouble(values[i], other.values[i]));
    return new Matrix(rows, columns, result);
  }

  public Matrix scaled(double factor) {
    double[] result = new double[values.length];
    Arrays.setAll(result, i -> values[i] * factor);
    return new Matrix(rows, columns, result);
  }

  /** Each row times its own factor: the product with a diagonal matrix from the left. */
  public Matrix scaledRows(double... factors) {
    checkArgument(factors.length == rows, "%s factors for %s", factors.length, this);
    double[] result = new double[values.length];
    Arrays.setAll(result, i -> values[i] * factors[i / columns]);
    return new Matrix(rows, columns, result);
  }

  /** Each column times its own factor: the product with a diagonal matrix from the right. */
  public Matrix scaledColumns(double... factors) {
    checkArgument(factors.length == columns, "%s factors for %s", factors.length, this);
    double[] result = new double[values.length];
    Arrays.setAll(result, i -> values[i] * factors[i % columns]);
    return new Matrix(rows, columns, result);
  }

  /**
   * X of this · X = right.
   *
   * @throws io.peft4j.PeftException if this is singular
   */
  public Matrix solve(Matrix right) {
    checkArgument(rows == columns && rows == right.rows, "%s cannot solve %s", this, right);
    return of(Functions.SOLVE.apply(toTensor(), right.toTensor()).get(0));
  }

  /**
   * The inverse. For solving a system, {@link #solve} is faster and more exact.
   *
   * @throws io.peft4j.PeftException if this is singular
   */
  public Matrix inverse() {
    checkArgument(rows == columns, "%s has no inverse", this);
    return of(Functions.INVERSE.apply(toTensor()).get(0));
  }

  /** The Frobenius norm: the root of the sum of squares. */
  public double norm() {
    double sum = 0;
    for (double value : values) {
      sum += value * value;
    }
    return Math.sqrt(sum);
  }

  /** The size, for example {@code [3, 4]}. */
  @Override
  public String toString() {
    return "[" + rows + ", " + columns + "]";
  }
}
