package io.peft4j.adapters.shira;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.math.TorchGenerator;
import java.util.Arrays;
import java.util.List;

/**
 * SHiRA (Bhardwaj et al., arXiv 2406.13175) with a random mask: r (in + out) elements of the
 * weight, as many as LoRA of rank r has, are added to. They start at zero, so that the model starts
 * unchanged.
 *
 * @param rank r
 * @param randomSeed decides which elements
 */
public record Shira(int rank, int randomSeed, Targets targets, List<String> modulesToSave)
    implements LinearMethod {

  public Shira {
    Checks.atLeast("rank", rank, 1);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** SHiRA of a rank on the feed-forward blocks. */
  public static Shira rank(int rank) {
    return new Shira(rank, 0, Targets.feedForward(), List.of());
  }

  public Shira on(Targets newTargets) {
    return new Shira(rank, randomSeed, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "shira";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int size = layer.in() * layer.out();
    int count = rank * (layer.in() + layer.out());
    Checks.atMost("r * (in + out)", count, size, layer.path());
    Expression values = layer.parameter("shira_weight", AdaptedLinear.filled(0, count));
    Expression places = layer.stored("shira_indices", places(layer.in(), size, count));
    Expression update = layer.zeros(layer.out(), layer.in()).scattered(places.transposed(), values);
    return layer.plusUpdate(update, 0, 0);
  }

  /** Rows and columns, int32 [2, count], in the weight's order. */
  private Tensor places(int in, int size, int count) {
    int[] chosen = new TorchGenerator(randomSeed).permutation(size, count);
    Arrays.sort(chosen);
    long[] places = new long[2 * count];
    for (int i = 0; i < count; i++) {
      places[i] = chosen[i] / in;
      places[count + i] = chosen[i] % in;
    }
    return Tensor.ofLongs(new long[] {2, count}, places).cast(DType.INT32);
  }
}
