package io.peft4j.adapters.randlora;

import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.math.TorchGenerator;
import java.util.List;

/**
 * RandLoRA (Albert et al., arXiv 2502.00987): the update is s Σ over n bases of B_n Λ_n A Γ_n, with
 * A and B_n random, frozen and shared, and the diagonal Λ, Γ trained; n = min(in, out) / r makes it
 * of full rank, and s = alpha / r. A lies on the smaller side of W. Λ starts at zero, so that the
 * model starts unchanged.
 *
 * <p>PEFT draws A and B in the 16-bit type that its machine has, so that only stored ones can be
 * read elsewhere.
 *
 * @param rank r
 * @param alpha numerator of the scale
 * @param projectionPrngKey seed of A and B
 * @param saveProjection whether A and B are stored; they must be
 * @param dropout share of the input that is dropped before the update
 */
public record RandLora(
    int rank,
    double alpha,
    int projectionPrngKey,
    boolean saveProjection,
    double dropout,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  public RandLora {
    Checks.atLeast("rank", rank, 1);
    Checks.positive("alpha", alpha);
    Checks.fraction("dropout", dropout);
    if (!saveProjection) {
      throw new RecipeException(
          "saveProjection must be true, was false: the random bases differ from machine to"
              + " machine");
    }
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** RandLoRA of a rank on the feed-forward blocks, alpha twenty times the rank. */
  public static RandLora rank(int rank) {
    return new RandLora(rank, 20.0 * rank, 0, true, 0, Targets.feedForward(), List.of());
  }

  public RandLora on(Targets newTargets) {
    return new RandLora(
        rank, alpha, projectionPrngKey, saveProjection, dropout, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "randlora";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int small = Math.min(layer.in(), layer.out());
    int large = Math.max(layer.in(), layer.out());
    int bases = (small + rank - 1) / rank;
    Expression a = layer.sharedStored("randlora_A", () -> basis(layer, true));
    Expression b = layer.sharedStored("randlora_B", () -> basis(layer, false));
    layer.storeToo(a, "randlora_A");
    layer.storeToo(b, "randlora_B");
    Expression lambda = layer.parameter("randlora_lambda", AdaptedLinear.filled(0, rank, bases));
    Expression gamma =
        layer.parameter(
            "randlora_gamma", AdaptedLinear.filled(1.0 / Math.max(bases, small), bases, small));
    // PEFT numbers A's rows by rank first and B's columns by base first, and so do we.
    Expression scaled =
        a.sliced(2, 0, small)
            .times(lambda.reshaped(rank, bases, 1))
            .times(gamma.reshaped(1, bases, small))
            .reshaped((long) rank * bases, small);
    Expression columns =
        b.sliced(0, 0, large).sliced(1, 0, bases).reshaped(large, (long) bases * rank);
    Expression product = columns.matmul(scaled); // [large, small]
    Expression update = layer.out() == large ? product : product.transposed();
    return layer
        .y()
        .plus(layer.x().dropout(dropout).matmul(update.transposed()).times(alpha / rank));
  }

  /** A [r, 1, small] or B [large, bases, r] for the largest sizes, of standard deviation 1. */
  private Tensor basis(AdaptedLinear layer, boolean first) {
    long in = layer.all().stream().mapToLong(s -> s.inFeatures()).max().orElseThrow();
    long out = layer.all().stream().mapToLong(s -> s.outFeatures()).max().orElseThrow();
    int small = (int) Math.min(in, out);
    int large = (int) Math.max(in, out);
    int bases = (small + rank - 1) / rank;
    long[] shape = first ? new long[] {rank, 1, small} : new long[] {large, bases, rank};
    TorchGenerator generator = new TorchGenerator(projectionPrngKey + (first ? 0 : 1L));
    float[] drawn = generator.uniform((int) Tensor.elements(shape), 1);
    double mean = 0;
    for (float value : drawn) {
      mean += (double) value / drawn.length;
    }
    double squares = 0;
    for (float value : drawn) {
      squares += (value - mean) * (value - mean);
    }
    double deviation = Math.sqrt(squares / (drawn.length - 1));
    double[] values = new double[drawn.length];
    for (int i = 0; i < drawn.length; i++) {
      values[i] = drawn[i] / deviation;
    }
    return Tensor.ofDoubles(shape, values).cast(DType.FLOAT32);
  }
}
