package io.peft4j.adapters.hra;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.Kernels;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * HRA (Yuan et al., arXiv 2405.17484): W' = W Π (I − 2 u_i u_iᵀ) over r unit vectors u. With an
 * even number they start in equal pairs, whose reflections undo each other, so that the model
 * starts unchanged.
 *
 * @param rank r
 * @param orthogonal whether the vectors are made orthogonal (Gram and Schmidt)
 */
public record Hra(int rank, boolean orthogonal, Targets targets, List<String> modulesToSave)
    implements LinearMethod {

  public Hra {
    Checks.atLeast("rank", rank, 1);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** HRA of a rank on the feed-forward blocks. */
  public static Hra rank(int rank) {
    return new Hra(rank, false, Targets.feedForward(), List.of());
  }

  public Hra on(Targets newTargets) {
    return new Hra(rank, orthogonal, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "hra";
  }

  @Override
  public Set<Integer> kernelAxes() {
    return Set.of(2);
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    Kernels kernels = layer.kernels();
    if (kernels != null) {
      kernels.requireEven(name());
    }
    Expression stored = layer.parameter("hra_u", start(layer));
    List<Expression> units = new ArrayList<>();
    Expression weight = layer.weight();
    for (int i = 0; i < rank; i++) {
      Expression u = stored.sliced(1, i, i + 1);
      if (orthogonal) {
        for (Expression earlier : units) {
          u = u.minus(earlier.times(earlier.transposed().matmul(u)));
        }
      }
      Expression unit = u.over(u.norm(0, true));
      units.add(unit);
      weight = weight.minus(weight.matmul(unit).matmul(unit.transposed()).times(2));
    }
    return layer.withWeight(weight);
  }

  /** [in, r], in equal pairs where r is even. */
  private Tensor start(AdaptedLinear layer) {
    int different = rank % 2 == 0 ? rank / 2 : rank;
    double[] drawn = layer.kaiming(layer.in(), different).toDoubles();
    double[] values = new double[layer.in() * rank];
    for (int i = 0; i < values.length; i++) {
      values[i] = drawn[i / rank * different + i % rank * different / rank];
    }
    return Tensor.ofDoubles(new long[] {layer.in(), rank}, values).cast(DType.FLOAT32);
  }
}
