package io.peft4j.adapters.frod;

import com.google.common.base.Splitter;
import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.math.TorchGenerator;
import io.peft4j.site.LinearSite;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.function.Supplier;

/**
 * FRoD (AAAI 2026, doi 10.1609/aaai.v40i31.39813): W = U (diag(λ) + S) Vᵀ, where V is a basis that
 * the layers of a kind share, U diag(λ) = W V⁻ᵀ with columns of length 1, and S is sparse; λ and
 * the elements of S train. S starts at zero and λ as it is, so that the model starts unchanged but
 * for rounding.
 *
 * @param sparseRate share of S that trains
 * @param regularizationAlpha what keeps the joint decomposition of similar layers stable
 * @param dropout share of the input that is dropped before the difference from W
 */
public record Frod(
    double sparseRate,
    double regularizationAlpha,
    double dropout,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {
  private static final double LEAST_NORM = 1e-12;

  public Frod {
    if (!(sparseRate >= 0 && sparseRate <= 1)) {
      throw new RecipeException("sparseRate must be from 0 to 1, was " + sparseRate);
    }
    Checks.positive("regularizationAlpha", regularizationAlpha);
    Checks.fraction("dropout", dropout);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** FRoD on the attention blocks, where a hundredth of S trains. */
  public static Frod standard() {
    return new Frod(0.01, 1e-3, 0, Targets.attention(), List.of());
  }

  public Frod on(Targets newTargets) {
    return new Frod(sparseRate, regularizationAlpha, dropout, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "frod";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int in = layer.in();
    int trained = trained(in);
    String kind = kind(layer.path());
    Expression v = layer.sharedStored("frod_V." + kind, () -> basis(layer, kind));
    Expression places =
        layer.sharedStored("frod_s_indices." + kind, () -> places(layer.random(), in, trained));
    layer.sharedStored("frod_s_size." + kind, () -> Tensor.vector(in, in));
    Expression wide = timesInverse(layer, v);
    Expression lengths = wide.norm(0, true).clipped(LEAST_NORM, Float.MAX_VALUE);
    Expression u = wide.over(lengths);
    Tensor basis = layer.start(v);
    Supplier<Matrix> weight = Objects.requireNonNull(layer.weightOf(layer.site()));
    Expression lambda =
        layer.parameter(
            "frod_lambda_l", lazy(() -> JointBasis.lengths(Matrix.of(basis), weight.get()), in));
    Expression x = layer.x().dropout(dropout);
    Expression z = x.matmul(v);
    Expression middle = z.times(lambda);
    if (trained > 0) {
      Expression values =
          layer.parameter("frod_lambda_s_values", Tensor.zeros(DType.FLOAT32, trained));
      Expression sparse = layer.zeros(in, in).scattered(places.transposed(), values);
      middle = middle.plus(z.matmul(sparse.transposed()));
    }
    Expression product = middle.matmul(u.transposed());
    if (dropout == 0) {
      return layer.withBias(product);
    }
    return layer.y().plus(product.minus(x.matmul(layer.weight().transposed())));
  }

  /**
   * W V⁻ᵀ, in float64, as V may be far from orthogonal. Nothing of float64 is transposed beside a
   * product: ONNX Runtime would fuse the two, and has no kernel for that.
   */
  private static Expression timesInverse(AdaptedLinear layer, Expression v) {
    if (layer.inFirst()) {
      Expression stored = layer.weight().transposed().cast(DType.FLOAT64);
      return v.cast(DType.FLOAT64).inverse().matmul(stored).cast(DType.FLOAT32).transposed();
    }
    Expression inverse = v.transposed().cast(DType.FLOAT64).inverse();
    return layer.weight().cast(DType.FLOAT64).matmul(inverse).cast(DType.FLOAT32);
  }

  /** How many elements of S train; none of the diagonal. */
  private int trained(int in) {
    long all = (long) in * in;
    int count = (int) Math.min((long) (all * sparseRate), all - in);
    return sparseRate > 0 && in > 1 ? Math.max(1, count) : count;
  }

  /** Made when first asked for: an adapter that is read brings its own. */
  private Tensor basis(AdaptedLinear layer, String kind) {
    List<Supplier<Matrix>> weights = new ArrayList<>();
    for (LinearSite site : layer.all()) {
      Supplier<Matrix> weight = layer.weightOf(site);
      if (kind(site.path()).equals(kind) && weight != null) {
        if (site.inFeatures() != layer.in()) {
          throw new PeftException(
              "'%s' and '%s' share FRoD's basis '%s', but read vectors of %d and %d elements; leave one out of the targets"
                  .formatted(layer.path(), site.path(), kind, layer.in(), site.inFeatures()));
        }
        weights.add(weight);
      }
    }
    return lazy(
        () ->
            JointBasis.of(weights.stream().map(Supplier::get).toList(), regularizationAlpha)
                .toTensor(DType.FLOAT32),
        layer.in(),
        layer.in());
  }

  private static Tensor lazy(Supplier<Tensor> values, long... shape) {
    return Tensor.lazy(DType.FLOAT32, shape, () -> values.get().data());
  }

  /** Rows and columns of S that train, [2, count]. */
  private static Tensor places(SplittableRandom random, int in, int count) {
    int[] chosen =
        new TorchGenerator(random.nextInt(Integer.MAX_VALUE))
            .permutation(Math.multiplyExact(in, in - 1), count);
    long[] places = new long[2 * count];
    for (int i = 0; i < count; i++) {
      int row = chosen[i] / (in - 1);
      int column = chosen[i] % (in - 1);
      places[i] = row;
      places[count + i] = column < row ? column : column + 1;
    }
    return Tensor.ofLongs(new long[] {2, count}, places);
  }

  /** What PEFT calls the kind of a layer: the end of its path, without numbers. */
  static String kind(String path) {
    List<String> parts = Splitter.on('.').splitToList(path);
    int last = parts.size() - 1;
    if (last == 0 || parts.get(last - 1).chars().allMatch(Character::isDigit)) {
      return parts.get(last);
    }
    String kind = parts.get(last - 1) + "_" + parts.get(last);
    boolean attention = last > 1 && parts.get(last - 2).equals("attention");
    return attention && kind.equals("output_dense") ? "attention_output" : kind;
  }
}
