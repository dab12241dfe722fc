package io.peft4j.adapters.waveft;

import io.peft4j.RecipeException;
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
 * WaveFT (Bilican et al., arXiv 2505.12532): the update is a matrix of n wavelet coefficients at
 * random places, transformed back (one level, Haar) and scaled. Computed as a product of rank n.
 * The coefficients start at zero, so that the model starts unchanged.
 *
 * @param frequencies n
 * @param scaling factor of the update
 * @param waveletFamily {@code db1}, the Haar wavelet
 * @param useIdwt whether the matrix is transformed back; otherwise it is the update
 * @param randomLocSeed seed of the places
 * @param frequencyPattern other n, by expressions that match the end of a module's path
 */
public record WaveFt(
    int frequencies,
    double scaling,
    String waveletFamily,
    boolean useIdwt,
    int randomLocSeed,
    Targets targets,
    Map<String, Integer> frequencyPattern,
    List<String> modulesToSave)
    implements LinearMethod {

  public WaveFt {
    Checks.atLeast("frequencies", frequencies, 1);
    Checks.positive("scaling", scaling);
    if (useIdwt && !waveletFamily.equals("db1") && !waveletFamily.equals("haar")) {
      throw new RecipeException(
          "waveletFamily must be db1 (Haar), was '" + waveletFamily + "', which is not supported");
    }
    frequencyPattern = Patterns.ranks(frequencyPattern);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** WaveFT of n coefficients a layer on the feed-forward blocks. */
  public static WaveFt frequencies(int n) {
    return new WaveFt(n, 25, "db1", true, 777, Targets.feedForward(), Map.of(), List.of());
  }

  public WaveFt on(Targets newTargets) {
    return new WaveFt(
        frequencies,
        scaling,
        waveletFamily,
        useIdwt,
        randomLocSeed,
        newTargets,
        frequencyPattern,
        modulesToSave);
  }

  @Override
  public String name() {
    return "waveft";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int n = Patterns.pick(frequencyPattern, layer.path(), frequencies);
    MatrixPlaces places = MatrixPlaces.drawn(layer, "n_frequency", n, randomLocSeed);
    int[] rows = places.rows();
    int[] columns = places.columns();
    Expression spectrum = layer.parameter("waveft_spectrum", AdaptedLinear.filled(0, n));
    Expression left = layer.constant("waveft_rows", waves(layer.out(), rows, layer.in(), columns));
    Expression right =
        layer.constant("waveft_columns", waves(layer.in(), columns, layer.out(), rows));
    Expression update = left.times(spectrum).matmul(right.transposed()).times(scaling);
    return layer.plusUpdate(update, 0, 0);
  }

  /**
   * What each coefficient contributes along an axis, [size, n]. The matrix holds four bands; a
   * coefficient takes differences along this axis if it lies in the second half of the
   * <em>other</em> one (the horizontal details, differences of rows, stand top right). An axis of
   * odd size is transformed with one more place, which is left off.
   */
  private Tensor waves(int size, int[] coefficients, int otherSize, int[] others) {
    int n = coefficients.length;
    double[] values = new double[size * n];
    int half = (size + 1) / 2;
    int otherHalf = (otherSize + 1) / 2;
    for (int k = 0; k < n; k++) {
      int c = coefficients[k];
      if (!useIdwt) {
        values[c * n + k] = 1;
        continue;
      }
      int pair = 2 * (c % half);
      double sign = others[k] < otherHalf ? 1 : -1;
      values[pair * n + k] = Math.sqrt(0.5);
      if (pair + 1 < size) {
        values[(pair + 1) * n + k] = sign * Math.sqrt(0.5);
      }
    }
    return Tensor.ofDoubles(new long[] {size, n}, values).cast(DType.FLOAT32);
  }
}
