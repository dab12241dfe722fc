package io.peft4j.adapters.lora;

import io.peft4j.PeftException;
import io.peft4j.adapter.AdapterTensor;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.MergedWeights;
import io.peft4j.graph.DType;
import io.peft4j.graph.GraphEditor;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.site.LinearSite;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/** LoRA on one linear layer: y + s (B A dropout(x) + bias of B), or DoRA's rescaling of it. */
final class LinearPart {
  private final Lora lora;
  private final LinearSite site;
  private final int rank;
  private final double scale;

  LinearPart(Lora lora, LinearSite site) {
    this.lora = lora;
    this.site = site;
    rank = lora.rankOf(site.path());
    scale = lora.scale(site.path());
  }

  /**
   * @param given start values that were found out, null for those of the method's kind
   */
  List<AdapterTensor> attach(
      GraphEditor editor, String adapter, SplittableRandom random, @Nullable StartValues given) {
    StartValues start = given == null ? start(editor, random) : given;
    if (start.residual() != null) {
      leave(editor, start.residual());
    }
    return AdaptedLinear.adapt(
        editor, site, null, List.of(site), adapter, random, layer -> adapt(layer, start));
  }

  private StartValues start(GraphEditor editor, SplittableRandom random) {
    boolean cut = lora.init() == LoraStart.PISSA || lora.init() == LoraStart.OLORA;
    return cut
        ? StartValues.cut(
            lora.init(), weight(editor.requiredInitializer(site.weight())), rank, scale)
        : StartValues.drawn(
            lora.init(),
            Math.toIntExact(site.outFeatures()),
            Math.toIntExact(site.inFeatures()),
            rank,
            random);
  }

  private void leave(GraphEditor editor, Matrix residual) {
    if (MergedWeights.isShared(editor, site)) {
      throw new PeftException(
          "init %s changes the weight of '%s', which another module shares; leave it out or start without"
              .formatted(lora.init().label(), site.path()));
    }
    Tensor old = editor.requiredInitializer(site.weight());
    editor.initializer(site.weight(), laid(residual).cast(old.dtype()));
  }

  private Expression adapt(AdaptedLinear layer, StartValues start) {
    Expression a = layer.parameter("lora_A.weight", start.a());
    Expression b = layer.parameter("lora_B.weight", start.b());
    Expression low = layer.x().dropout(lora.dropout()).matmul(a.transposed());
    if (lora.dora()) {
      return rescaled(layer, start, low, a, b);
    }
    Expression update = low.matmul(b.transposed());
    if (lora.loraBias()) {
      update = update.plus(biasOfB(layer));
    }
    return layer.y().plus(update.times(scale));
  }

  private static Expression biasOfB(AdaptedLinear layer) {
    return layer.parameter("lora_B.bias", AdaptedLinear.filled(0, layer.out()));
  }

  /**
   * f ⊙ x Wᵀ + (x Aᵀ (s f ⊙ B)ᵀ + b), with f the trained by the present length of each row: B takes
   * the factor and its product the bias, which are small where the outputs are large.
   */
  private Expression rescaled(
      AdaptedLinear layer, StartValues start, Expression low, Expression a, Expression b) {
    Expression factor = factor(layer, start, a, b);
    Expression scaled = b.times(factor.times(scale).unsqueezed(1));
    Expression update = layer.withBias(low.matmul(scaled.transposed()));
    if (lora.loraBias()) {
      update = update.plus(biasOfB(layer).times(factor.times(scale)));
    }
    return layer.product().times(factor).plus(update);
  }

  /** Trained by present length of each row, [out]. */
  private Expression factor(AdaptedLinear layer, StartValues start, Expression a, Expression b) {
    Matrix weight = weight(layer.weightValues());
    int out = layer.out();
    double[] sums =
        Magnitudes.squaredRows(LowRank.added(weight, start.a(), start.b(), scale).values(), out);
    Expression magnitude = layer.parameter("lora_magnitude_vector", Magnitudes.lengths(sums, out));
    double[] squares = Magnitudes.squaredRows(weight.values(), out);
    Expression constant =
        layer.constant("squares", Tensor.ofDoubles(new long[] {out}, squares).cast(DType.FLOAT32));
    Expression fixedA = a.detached();
    Expression weightByA = layer.weightTimes(fixedA.transposed());
    return magnitude.over(Magnitudes.present(constant, weightByA, fixedA, b.detached(), scale));
  }

  /** Puts the merged weight and bias in place. */
  void merge(TrainedValues values, MergedWeights weights) {
    Tensor a = values.of(site.path(), "lora_A.weight");
    Tensor b = values.of(site.path(), "lora_B.weight");
    Matrix weight = weight(values.present(site.weight()));
    Matrix sum = LowRank.added(weight, a, b, scale);
    double[] factors = new double[0];
    if (lora.dora()) {
      factors = LowRank.factors(sum, values.of(site.path(), "lora_magnitude_vector").toDoubles());
      sum = sum.scaledRows(factors);
    }
    weights.put(site, laid(sum), bias(values, factors));
  }

  /** The layer's bias with that of B in it; null where B has none. */
  private @Nullable Tensor bias(TrainedValues values, double... factors) {
    if (!lora.loraBias()) {
      return null;
    }
    double[] sum = values.of(site.path(), "lora_B.bias").toDoubles();
    double[] own =
        site.bias() == null ? new double[sum.length] : values.present(site.bias()).toDoubles();
    for (int i = 0; i < sum.length; i++) {
      sum[i] = own[i] + scale * sum[i] * (factors.length == 0 ? 1 : factors[i]);
    }
    return Tensor.ofDoubles(new long[] {sum.length}, sum);
  }

  /** A stored weight as [out, in]. */
  private Matrix weight(Tensor stored) {
    Matrix matrix = Matrix.of(stored);
    return site.inFirst() ? matrix.transposed() : matrix;
  }

  /** A weight [out, in] as it is stored. */
  private Tensor laid(Matrix weight) {
    return (site.inFirst() ? weight.transposed() : weight).toTensor(DType.FLOAT64);
  }
}
