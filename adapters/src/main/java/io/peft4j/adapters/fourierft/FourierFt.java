package io.peft4j.adapters.fourierft;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.adapters.linear.MatrixPlaces;
import io.peft4j.adapters.linear.Patterns;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Map;

/**
 * FourierFT (Gao et al., arXiv 2405.03003): the update is the real part of the inverse Fourier
 * transform of a matrix with n entries c at random places (u, v): (scaling / (out in)) Σ c_k cos(2π
 * (u_k p / out + v_k q / in)) at [p, q]. Computed as two products of rank n. The spectrum starts
 * normal, as PEFT's does, so that the model starts changed.
 *
 * @param frequencies n
 * @param scaling factor of the update
 * @param randomLocSeed seed of the places
 * @param frequencyPattern other n, by expressions that match the end of a module's path
 */
public record FourierFt(
    int frequencies,
    double scaling,
    int randomLocSeed,
    Targets targets,
    Map<String, Integer> frequencyPattern,
    List<String> modulesToSave)
    implements LinearMethod {

  public FourierFt {
    Checks.atLeast("frequencies", frequencies, 1);
    Checks.positive("scaling", scaling);
    frequencyPattern = Patterns.ranks(frequencyPattern);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** FourierFT of n entries a layer on the feed-forward blocks. */
  public static FourierFt frequencies(int n) {
    return new FourierFt(n, 150, 777, Targets.feedForward(), Map.of(), List.of());
  }

  public FourierFt on(Targets newTargets) {
    return new FourierFt(
        frequencies, scaling, randomLocSeed, newTargets, frequencyPattern, modulesToSave);
  }

  @Override
  public String name() {
    return "fourierft";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int n = Patterns.pick(frequencyPattern, layer.path(), frequencies);
    MatrixPlaces places = MatrixPlaces.drawn(layer, "n_frequency", n, randomLocSeed);
    int[] rows = places.rows();
    int[] columns = places.columns();
    Expression spectrum = layer.parameter("fourierft_spectrum", layer.normal(1, n));
    Expression rowCos = layer.constant("fourierft_row_cos", waves(layer.out(), rows, false));
    Expression rowSin = layer.constant("fourierft_row_sin", waves(layer.out(), rows, true));
    Expression columnCos =
        layer.constant("fourierft_column_cos", waves(layer.in(), columns, false));
    Expression columnSin = layer.constant("fourierft_column_sin", waves(layer.in(), columns, true));
    // cos(a + b) = cos a cos b - sin a sin b
    Expression update =
        rowCos
            .times(spectrum)
            .matmul(columnCos.transposed())
            .minus(rowSin.times(spectrum).matmul(columnSin.transposed()))
            .times(scaling / ((double) layer.out() * layer.in()));
    return layer.plusUpdate(update, 0, 0);
  }

  /** cos or sin of 2π f_k p / size at [p, k]. */
  private static Tensor waves(int size, int[] frequencies, boolean sine) {
    double[] values = new double[size * frequencies.length];
    for (int p = 0; p < size; p++) {
      for (int k = 0; k < frequencies.length; k++) {
        double angle = 2 * Math.PI * ((long) frequencies[k] * p % size) / size;
        values[p * frequencies.length + k] = sine ? Math.sin(angle) : Math.cos(angle);
      }
    }
    return Tensor.ofDoubles(new long[] {size, frequencies.length}, values).cast(DType.FLOAT32);
  }
}
