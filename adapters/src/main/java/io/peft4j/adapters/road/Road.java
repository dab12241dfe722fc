package io.peft4j.adapters.road;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.Tensor;
import java.util.List;
import java.util.Locale;

/**
 * RoAD (Liao and Monz, arXiv 2409.00119): the outputs of a layer, bias included, are taken in
 * pairs, half a group apart, and each pair is rotated by θ and scaled by α: y ⊙ α cos θ + y' ⊙ α
 * sin θ with y' = (−second, first). θ starts at zero and α at one, so that the model starts
 * unchanged.
 *
 * @param variant how many θ and α a pair has: one, two (one for each output) or four (each output
 *     one for either term)
 * @param groupSize outputs of a group, an even number that divides the outputs
 */
public record Road(Variant variant, int groupSize, Targets targets, List<String> modulesToSave)
    implements LinearMethod {

  /** The forms of RoAD, by the number of parameters. */
  public enum Variant {
    ROAD_1,
    ROAD_2,
    ROAD_4;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  public Road {
    Checks.atLeast("groupSize", groupSize, 2);
    if (groupSize % 2 != 0) {
      throw new RecipeException("groupSize must be even, was " + groupSize);
    }
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** RoAD with one θ and α a pair on the feed-forward blocks. */
  public static Road group(int size) {
    return new Road(Variant.ROAD_1, size, Targets.feedForward(), List.of());
  }

  public Road on(Targets newTargets) {
    return new Road(variant, groupSize, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "road";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    if (layer.out() % groupSize != 0) {
      throw new PeftException(
          "'%s' has %d outputs, which groups of %d do not divide; choose another group_size"
              .formatted(layer.path(), layer.out(), groupSize));
    }
    int size =
        switch (variant) {
          case ROAD_1 -> layer.out() / 2;
          case ROAD_2 -> layer.out();
          case ROAD_4 -> layer.out() * 2;
        };
    Expression theta = layer.parameter("road_theta", AdaptedLinear.filled(0, size));
    Expression alpha = layer.parameter("road_alpha", AdaptedLinear.filled(1, size));
    Expression straight = forTerm(layer, theta, 0).cos().times(forTerm(layer, alpha, 0));
    Expression crossed = forTerm(layer, theta, 1).sin().times(forTerm(layer, alpha, 1));
    Expression y = layer.y();
    Expression partners =
        y.gathered(-1, layer.constant("road_partners", partners(layer.out())))
            .times(layer.constant("road_signs", signs(layer.out())));
    return y.times(straight).plus(partners.times(crossed));
  }

  /** The parameters of the first or second term, one for each output. */
  private Expression forTerm(AdaptedLinear layer, Expression values, int term) {
    int out = layer.out();
    long[] places = new long[out];
    for (int o = 0; o < out; o++) {
      int group = o / groupSize;
      int within = o % groupSize;
      places[o] =
          switch (variant) {
            case ROAD_1 -> (long) group * groupSize / 2 + within % (groupSize / 2);
            case ROAD_2 -> o;
            case ROAD_4 -> (2L * group + term) * groupSize + within;
          };
    }
    return values.gathered(
        0, layer.constant("road_places", Tensor.ofLongs(new long[] {out}, places)));
  }

  private Tensor partners(int out) {
    long[] partners = new long[out];
    for (int o = 0; o < out; o++) {
      int half = groupSize / 2;
      partners[o] = o % groupSize < half ? o + half : o - half;
    }
    return Tensor.ofLongs(new long[] {out}, partners);
  }

  private Tensor signs(int out) {
    float[] signs = new float[out];
    for (int o = 0; o < out; o++) {
      signs[o] = o % groupSize < groupSize / 2 ? -1 : 1;
    }
    return Tensor.ofFloats(new long[] {out}, signs);
  }
}
