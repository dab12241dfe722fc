package io.peft4j.adapters.deft;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import io.peft4j.math.Matrix;
import java.util.List;

/**
 * DEFT: W' = W − P rᵀ W + P R, which removes what W gives in the directions P [out, r] and puts R
 * [r, in] there; r is relu(P). Without R only the removal is left (PaRa). R starts as rᵀ W, so that
 * the model starts unchanged.
 *
 * @param rank number of directions
 * @param decomposition how r follows from P; {@code relu} is the one that is supported
 * @param removalOnly whether R is left out
 * @param dropout share of the input that is dropped before R
 */
public record Deft(
    int rank,
    Decomposition decomposition,
    boolean removalOnly,
    double dropout,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  /** The ways from P to r. */
  public enum Decomposition {
    RELU
  }

  public Deft {
    Checks.atLeast("rank", rank, 1);
    Checks.fraction("dropout", dropout);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** DEFT of a rank on the feed-forward blocks. */
  public static Deft rank(int rank) {
    return new Deft(rank, Decomposition.RELU, false, 0, Targets.feedForward(), List.of());
  }

  public Deft on(Targets newTargets) {
    return new Deft(rank, decomposition, removalOnly, dropout, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "deft";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int r = Math.min(rank, layer.out());
    Tensor start = layer.normal(0.02, layer.out(), r);
    Expression p = layer.parameter("deft_P", start);
    Expression product = layer.x().matmul(layer.weight().transposed());
    Expression y = layer.y().minus(product.matmul(p.relu()).matmul(p.transposed()));
    if (removalOnly) {
      return y;
    }
    Expression injected = layer.parameter("deft_R", kept(layer, start));
    return y.plus(layer.x().dropout(dropout).matmul(injected.transposed()).matmul(p.transposed()));
  }

  /** relu(P)ᵀ W. */
  private static Tensor kept(AdaptedLinear layer, Tensor p) {
    double[] positive = p.toDoubles();
    for (int i = 0; i < positive.length; i++) {
      positive[i] = Math.max(0, positive[i]);
    }
    Matrix relu = Matrix.of((int) p.dim(0), (int) p.dim(1), positive);
    return relu.transposed().times(layer.weightMatrix()).toTensor(DType.FLOAT32);
  }
}
