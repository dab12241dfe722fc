package io.peft4j.adapters.tinylora;

import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import io.peft4j.math.Svd;
import java.util.List;
import java.util.SplittableRandom;

/**
 * TinyLoRA: the update is B R A with A [r, in] and B [out, r] the leading singular vectors of W,
 * each scaled by the root of its singular value, and R = Σ v_i P_i of u numbers v and random,
 * frozen matrices P. Layers may share v. It starts uniform, so that the model starts slightly
 * changed.
 *
 * <p>PEFT draws P from a generator whose normal numbers differ from ours, so that only stored ones
 * can be read.
 *
 * @param rank r
 * @param vectorLength u
 * @param weightTying share of the layers that share their v: 0 for none, 1 for one v for all
 * @param projectionSeed seed of P
 * @param saveProjection whether P is stored; it must be
 * @param initVBound v starts uniform within it
 * @param dropout share of the input that is dropped before the update
 */
public record TinyLora(
    int rank,
    int vectorLength,
    double weightTying,
    int projectionSeed,
    boolean saveProjection,
    double initVBound,
    double dropout,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  public TinyLora {
    Checks.atLeast("rank", rank, 1);
    Checks.atLeast("vectorLength", vectorLength, 1);
    Checks.positive("initVBound", initVBound);
    Checks.fraction("dropout", dropout);
    if (!(weightTying >= 0 && weightTying <= 1)) {
      throw new RecipeException("weightTying must be from 0 to 1, was " + weightTying);
    }
    if (!saveProjection) {
      throw new RecipeException(
          "saveProjection must be true, was false: PEFT's random matrices cannot be made anew");
    }
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** TinyLoRA of a rank with 64 numbers a layer on the feed-forward blocks. */
  public static TinyLora rank(int rank) {
    return new TinyLora(rank, 64, 0, 42, true, 0.02, 0, Targets.feedForward(), List.of());
  }

  public TinyLora on(Targets newTargets) {
    return new TinyLora(
        rank,
        vectorLength,
        weightTying,
        projectionSeed,
        saveProjection,
        initVBound,
        dropout,
        newTargets,
        modulesToSave);
  }

  @Override
  public String name() {
    return "tinylora";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int index = layer.index();
    int r = Math.min(rank, Math.min(layer.in(), layer.out()));
    Svd svd = Svd.of(layer.weightMatrix()).truncated(r);
    double[] roots = svd.singular();
    for (int i = 0; i < r; i++) {
      roots[i] = Math.sqrt(roots[i]);
    }
    Matrix left = svd.vTransposed().scaledRows(roots);
    Matrix right = svd.u().scaledColumns(roots);
    Expression a = layer.stored("tinylora_A", left.toTensor(DType.FLOAT32));
    Expression b = layer.stored("tinylora_B", right.toTensor(DType.FLOAT32));
    Expression p = layer.stored("tinylora_P", projection(index, r));
    Expression v =
        layer.sharedParameter(
            "tinylora_v." + group(index, layer.all().size()),
            () -> layer.uniform(initVBound, vectorLength));
    Expression middle = p.times(v.reshaped(vectorLength, 1, 1)).sum(0, false);
    Expression low = layer.x().dropout(dropout).matmul(a.transposed()).matmul(middle.transposed());
    return layer.y().plus(low.matmul(b.transposed()));
  }

  private int group(int index, int layers) {
    int groups = Math.max(1, (int) Math.rint(layers * (1 - weightTying)));
    int size = Math.max(1, layers / groups);
    return Math.min(index / size, groups - 1);
  }

  /** Normal numbers of deviation 1 / √r, [u, r, r]. */
  private Tensor projection(int index, int r) {
    SplittableRandom random = new SplittableRandom(projectionSeed + index);
    double[] values = new double[vectorLength * r * r];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextGaussian() / Math.sqrt(r);
    }
    return Tensor.ofDoubles(new long[] {vectorLength, r, r}, values).cast(DType.FLOAT32);
  }
}
