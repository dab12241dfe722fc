package io.peft4j.adapters.extract;

import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.site.EmbeddingSite;
import io.peft4j.site.LinearSite;
import io.peft4j.site.Site;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * A module whose weight or bias differs between two models.
 *
 * @param site the module in the first model
 * @param before its weight there, as it lies
 * @param after its weight in the second, laid out as the first
 * @param bias what the second model's bias has more, [out]; null if the biases are equal
 */
public record WeightChange(Site site, Tensor before, Tensor after, double @Nullable [] bias) {

  /** The module's path. */
  public String path() {
    return site.path();
  }

  /**
   * What the weight has more, [out, in]; for a table of vectors [size, entries]; for a norm [size,
   * 1].
   */
  public Matrix update() {
    return matrix(after).minus(matrix(before));
  }

  /** The norm of the weight in the first model. */
  public double weightNorm() {
    return matrix(before).norm();
  }

  /** The norm of what the bias has more; 0 if the biases are equal. */
  public double biasNorm() {
    return bias == null ? 0 : Matrix.of(1, bias.length, bias).norm();
  }

  private Matrix matrix(Tensor weight) {
    int rows = Math.toIntExact(weight.dim(0));
    Matrix matrix = Matrix.of(rows, Math.toIntExact(weight.size() / rows), weight.toDoubles());
    boolean turned =
        site instanceof EmbeddingSite || (site instanceof LinearSite linear && linear.inFirst());
    return turned ? matrix.transposed() : matrix;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof WeightChange change
        && site.equals(change.site)
        && before.equals(change.before)
        && after.equals(change.after)
        && Arrays.equals(bias, change.bias);
  }

  @Override
  public int hashCode() {
    return site.hashCode();
  }
}
