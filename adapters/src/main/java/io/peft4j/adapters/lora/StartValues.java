package io.peft4j.adapters.lora;

import io.peft4j.PeftException;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.math.Qr;
import io.peft4j.math.Svd;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * What one layer starts with.
 *
 * @param a [r, in]
 * @param b [out, r]
 * @param residual what W becomes, [out, in] in float64; null where it stays
 */
record StartValues(Tensor a, Tensor b, @Nullable Matrix residual) {

  /**
   * Values that need no weight: of {@link LoraStart#DEFAULT}, GAUSSIAN and ORTHOGONAL, and the
   * default for those that a probe replaces.
   *
   * @param in all that one row of A covers; of a convolution, channels times kernel
   */
  static StartValues drawn(LoraStart start, int out, int in, int r, SplittableRandom random) {
    return switch (start) {
      case GAUSSIAN -> of(normal(r, in, 1.0 / r, random), Matrix.zeros(out, r));
      case ORTHOGONAL -> orthogonal(out, in, r, random);
      default -> of(uniform(r, in, 1 / Math.sqrt(in), random), Matrix.zeros(out, r));
    };
  }

  /** Values that are cut out of a weight [out, in]. */
  static StartValues cut(LoraStart start, Matrix weight, int r, double scale) {
    if (r > Math.min(weight.rows(), weight.columns())) {
      throw new PeftException(
          "rank %d is more than a layer of %d to %d has; a start from the weight needs a lower one"
              .formatted(r, weight.columns(), weight.rows()));
    }
    if (start == LoraStart.OLORA) {
      Qr qr = Qr.of(weight);
      return leaving(weight, qr.r().rows(0, r), qr.q().columns(0, r), scale);
    }
    Svd svd = Svd.of(weight).truncated(r);
    double[] roots = svd.singular();
    for (int i = 0; i < r; i++) {
      roots[i] = Math.sqrt(roots[i] / scale);
    }
    return leaving(
        weight, svd.vTransposed().scaledRows(roots), svd.u().scaledColumns(roots), scale);
  }

  /** A and B, and what s B A leaves of W; all rounded as they will be stored. */
  static StartValues leaving(Matrix weight, Matrix a, Matrix b, double scale) {
    StartValues rounded = of(a, b);
    Matrix product = Matrix.of(rounded.b).times(Matrix.of(rounded.a));
    return new StartValues(rounded.a, rounded.b, weight.minus(product.scaled(scale)));
  }

  static StartValues of(Matrix a, Matrix b) {
    return new StartValues(a.toTensor(DType.FLOAT32), b.toTensor(DType.FLOAT32), null);
  }

  private static StartValues orthogonal(int out, int in, int r, SplittableRandom random) {
    if (r % 2 != 0) {
      throw new PeftException("init orthogonal needs an even rank, was " + r);
    }
    Matrix q = Qr.of(normal(r, r, 1, random)).q();
    Matrix a = normal(in, r / 2, 0.1, random).times(everySecond(q, 0)).transposed();
    Matrix b = normal(out, r / 2, 0.1, random).times(everySecond(q, 1));
    return of(a, b);
  }

  private static Matrix everySecond(Matrix q, int first) {
    int columns = q.columns();
    double[] values = new double[q.rows() / 2 * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = q.get(2 * (i / columns) + first, i % columns);
    }
    return Matrix.of(q.rows() / 2, columns, values);
  }

  private static Matrix uniform(int rows, int columns, double bound, SplittableRandom random) {
    return Matrix.of(rows, columns, random.doubles((long) rows * columns, -bound, bound).toArray());
  }

  private static Matrix normal(int rows, int columns, double deviation, SplittableRandom random) {
    double[] values = new double[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = deviation * random.nextGaussian();
    }
    return Matrix.of(rows, columns, values);
  }
}
