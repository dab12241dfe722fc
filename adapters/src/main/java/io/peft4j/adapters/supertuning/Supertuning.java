package io.peft4j.adapters.supertuning;

import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Super-Tuning: the largest elements of the weight are added to, and, with a rank, LoRA beside them
 * (Supra). Both start at zero, so that the model starts unchanged.
 *
 * @param sparsity share of the elements that stay as they are
 * @param selectTop whether the largest elements are chosen; otherwise the smallest
 * @param rank of LoRA beside it; 0 for none
 * @param alpha numerator of LoRA's scale
 * @param dropout share of LoRA's input that is dropped
 */
public record Supertuning(
    double sparsity,
    boolean selectTop,
    int rank,
    double alpha,
    double dropout,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  public Supertuning {
    Checks.fraction("sparsity", sparsity);
    Checks.atLeast("rank", rank, 0);
    Checks.fraction("dropout", dropout);
    if (rank > 0 || alpha != 0) { // it counts beside a rank only
      Checks.positive("alpha", alpha);
    }
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** Super-Tuning without LoRA on the feed-forward blocks. */
  public static Supertuning sparsity(double share) {
    return new Supertuning(share, true, 0, 0, 0, Targets.feedForward(), List.of());
  }

  public Supertuning on(Targets newTargets) {
    return new Supertuning(sparsity, selectTop, rank, alpha, dropout, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "supertuning";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int size = layer.in() * layer.out();
    int count = (int) (size * (1 - sparsity));
    if (count == 0) {
      throw new RecipeException(
          "sparsity %s leaves no element of '%s' to train; lower it"
              .formatted(sparsity, layer.path()));
    }
    Expression places = layer.stored("supertuning_indices", places(layer, count));
    Expression values = layer.parameter("supertuning_values", AdaptedLinear.filled(0, count));
    Expression update =
        layer
            .zeros(size)
            .scattered(places.reshaped(count, 1), values)
            .reshaped(layer.out(), layer.in());
    Expression y = layer.plusUpdate(update, 0, 0);
    if (rank == 0) {
      return y;
    }
    Expression a = layer.parameter("supertuning_lora_A.weight", layer.kaiming(rank, layer.in()));
    Expression b =
        layer.parameter("supertuning_lora_B.weight", AdaptedLinear.filled(0, layer.out(), rank));
    Expression low = layer.x().dropout(dropout).matmul(a.transposed()).matmul(b.transposed());
    return y.plus(low.times(alpha / rank));
  }

  /** Where the chosen elements stand in W [out, in], int32, the most extreme first. */
  private Tensor places(AdaptedLinear layer, int count) {
    float[] weight = layer.outFirstValues();
    Comparator<Integer> bySize = Comparator.comparingDouble(i -> Math.abs(weight[i]));
    long[] places =
        IntStream.range(0, weight.length)
            .boxed()
            .sorted(selectTop ? bySize.reversed() : bySize)
            .limit(count)
            .mapToLong(i -> i)
            .toArray();
    return Tensor.ofLongs(new long[] {count}, places).cast(DType.INT32);
  }
}
