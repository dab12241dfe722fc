package io.peft4j.adapters.unilora;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.math.NumpyGenerator;
import io.peft4j.site.LinearSite;
import java.util.List;

/**
 * Uni-LoRA (arXiv 2506.00799): the elements of all A and B are those of one trained vector θ, at
 * places that a seed decides, each divided by the root of how often its element of θ is used. θ
 * starts uniform, so that the model starts slightly changed.
 *
 * @param rank r
 * @param vectorLength length of θ
 * @param seed of the places
 * @param dropout share of the input that is dropped before the update
 * @param initThetaDBound θ starts uniform within it
 */
public record UniLora(
    int rank,
    int vectorLength,
    int seed,
    double dropout,
    double initThetaDBound,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  public UniLora {
    Checks.atLeast("rank", rank, 1);
    Checks.atLeast("vectorLength", vectorLength, 1);
    Checks.atLeast("seed", seed, 0);
    Checks.fraction("dropout", dropout);
    Checks.positive("initThetaDBound", initThetaDBound);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** Uni-LoRA of a rank with 256 numbers on the feed-forward blocks. */
  public static UniLora rank(int rank) {
    return new UniLora(rank, 256, 42, 0, 0.02, Targets.feedForward(), List.of());
  }

  public UniLora on(Targets newTargets) {
    return new UniLora(
        rank, vectorLength, seed, dropout, initThetaDBound, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "unilora";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    Expression theta =
        layer.sharedParameter(
            "unilora_theta_d", () -> layer.uniform(initThetaDBound, vectorLength));
    int[] places = places(layer.all());
    int start = 0;
    for (LinearSite site : layer.all().subList(0, layer.index())) {
      start += rank * Math.toIntExact(site.inFeatures() + site.outFeatures());
    }
    float[] scales = scales(places);
    Expression a = matrix(layer, theta, places, scales, start, rank, layer.in());
    Expression b =
        matrix(layer, theta, places, scales, start + rank * layer.in(), layer.out(), rank);
    Expression low = layer.x().dropout(dropout).matmul(a.transposed());
    return layer.y().plus(low.matmul(b.transposed()));
  }

  private static Expression matrix(
      AdaptedLinear layer,
      Expression theta,
      int[] places,
      float[] scales,
      int start,
      int rows,
      int columns) {
    long[] chosen = new long[rows * columns];
    float[] factors = new float[chosen.length];
    for (int i = 0; i < chosen.length; i++) {
      chosen[i] = places[start + i];
      factors[i] = scales[places[start + i]];
    }
    long[] shape = {rows, columns};
    Tensor index = Tensor.ofLongs(shape, chosen).cast(DType.INT32);
    return theta
        .gathered(0, layer.constant("unilora_places", index))
        .times(layer.constant("unilora_scales", Tensor.ofFloats(shape, factors)));
  }

  /** Which element of θ each element of all A and B is, every one about as often. */
  private int[] places(List<LinearSite> layers) {
    long all = 0;
    for (LinearSite site : layers) {
      all += rank * (site.inFeatures() + site.outFeatures());
    }
    int count = Math.toIntExact(all);
    int each = count / vectorLength;
    int[] places = new int[count];
    for (int i = 0; i < each * vectorLength; i++) {
      places[i] = i / each;
    }
    NumpyGenerator generator = new NumpyGenerator(seed);
    int rest = count % vectorLength;
    if (rest > 0) {
      System.arraycopy(generator.choice(vectorLength, rest), 0, places, count - rest, rest);
    }
    generator.shuffle(places);
    return places;
  }

  private float[] scales(int[] places) {
    int[] counts = new int[vectorLength];
    for (int place : places) {
      counts[place]++;
    }
    float[] scales = new float[vectorLength];
    for (int i = 0; i < vectorLength; i++) {
      scales[i] = counts[i] == 0 ? 0 : (float) (1 / Math.sqrt(counts[i]));
    }
    return scales;
  }
}
