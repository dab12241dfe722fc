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
import java.util.Arrays;
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
    Expression scaled =
        theta.times(layer.sharedConstant("unilora_scales", () -> scales(layer.all())));
    Expression places = layer.sharedConstant("unilora_places", () -> places(layer.all()));
    long start = elements(layer.all().subList(0, layer.index()));
    long middle = start + (long) rank * layer.in();
    long end = middle + (long) rank * layer.out();
    Expression a = scaled.gathered(0, places.sliced(0, start, middle).reshaped(rank, layer.in()));
    Expression b = scaled.gathered(0, places.sliced(0, middle, end).reshaped(layer.out(), rank));
    Expression low = layer.x().dropout(dropout).matmul(a.transposed());
    return layer.y().plus(low.matmul(b.transposed()));
  }

  /** How many elements the A and B of some layers have. */
  private int elements(List<LinearSite> layers) {
    return Math.toIntExact(
        layers.stream().mapToLong(site -> rank * (site.inFeatures() + site.outFeatures())).sum());
  }

  /** Which element of θ each element of all A and B is, every one about as often; int32. */
  private Tensor places(List<LinearSite> layers) {
    int count = elements(layers);
    int each = count / vectorLength;
    int[] places = new int[count];
    for (int i = 0; i < each * vectorLength; i++) {
      places[i] = i / each;
    }
    NumpyGenerator generator = new NumpyGenerator(seed);
    int[] oneMore = oneMore(generator, count);
    System.arraycopy(oneMore, 0, places, count - oneMore.length, oneMore.length);
    generator.shuffle(places);
    long[] wide = Arrays.stream(places).asLongStream().toArray();
    return Tensor.ofLongs(new long[] {count}, wide).cast(DType.INT32);
  }

  /** The elements of θ that are used once more than the others. */
  private int[] oneMore(NumpyGenerator generator, int count) {
    int rest = count % vectorLength;
    return rest == 0 ? new int[0] : generator.choice(vectorLength, rest);
  }

  /** 1 / √ of how often each element of θ is used, [length]; 0 for one that never is. */
  private Tensor scales(List<LinearSite> layers) {
    int count = elements(layers);
    int[] uses = new int[vectorLength];
    Arrays.fill(uses, count / vectorLength);
    for (int element : oneMore(new NumpyGenerator(seed), count)) {
      uses[element]++;
    }
    float[] scales = new float[vectorLength];
    for (int i = 0; i < vectorLength; i++) {
      scales[i] = uses[i] == 0 ? 0 : (float) (1 / Math.sqrt(uses[i]));
    }
    return Tensor.ofFloats(new long[] {vectorLength}, scales);
  }
}
