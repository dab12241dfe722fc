package io.peft4j.adapters.ia3;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.Kernels;
import io.peft4j.adapters.linear.LinearMethod;
import java.util.List;
import java.util.Set;

/**
 * (IA)³ (Liu et al., arXiv 2205.05638): y = l ⊙ (W x + b), or W (l ⊙ x) + b for feed-forward
 * modules. l starts at one, so that the model starts unchanged.
 *
 * @param feedforwardModules which of the targets are scaled at their input
 */
public record Ia3(Targets feedforwardModules, Targets targets, List<String> modulesToSave)
    implements LinearMethod {

  public Ia3 {
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** (IA)³ on the inputs of the feed-forward blocks' layers. */
  public static Ia3 standard() {
    return new Ia3(Targets.feedForward(), Targets.feedForward(), List.of());
  }

  /** (IA)³ on modules of which some are scaled at their input. */
  public static Ia3 on(Targets targets, Targets feedforwardModules) {
    return new Ia3(feedforwardModules, targets, List.of());
  }

  @Override
  public String name() {
    return "ia3";
  }

  @Override
  public Set<Integer> kernelAxes() {
    return Set.of(2);
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    Kernels kernels = layer.kernels();
    if (kernels != null) {
      return adapt(layer, kernels);
    }
    if (feedforwardModules.includes(layer.site())) {
      Expression scale = layer.parameter("ia3_l", AdaptedLinear.filled(1, 1, layer.in()));
      return layer.withBias(layer.x().times(scale).matmul(layer.weight().transposed()));
    }
    Expression scale = layer.parameter("ia3_l", AdaptedLinear.filled(1, layer.out(), 1));
    return layer.y().times(scale.reshaped(layer.out()));
  }

  private Expression adapt(AdaptedLinear layer, Kernels kernels) {
    int out = layer.out();
    if (!feedforwardModules.includes(layer.site())) {
      Expression scale = layer.parameter("ia3_l", AdaptedLinear.filled(1, kernels.points(1, out)));
      return layer.y().times(layer.perOutput(scale.reshaped(out)));
    }
    long groups = kernels.groups();
    long channels = kernels.channels();
    Expression scale =
        layer.parameter("ia3_l", AdaptedLinear.filled(1, kernels.points(1, groups * channels)));
    Expression columns =
        scale
            .reshaped(groups, 1, channels, 1)
            .expanded(groups, out / groups, channels, kernels.size())
            .reshaped(out, layer.in());
    return layer.withWeight(layer.weight().times(columns));
  }
}
