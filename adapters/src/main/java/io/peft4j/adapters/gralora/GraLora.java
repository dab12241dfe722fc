package io.peft4j.adapters.gralora;

import io.peft4j.PeftException;
import io.peft4j.RecipeException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import java.util.List;

/**
 * GraLoRA (Jung et al., arXiv 2505.20355): the weight is cut into k × k blocks, each with a LoRA of
 * rank r / k of its own, and optionally a plain LoRA beside them; s = alpha / (r + hybrid rank). B
 * starts at zero, so that the model starts unchanged.
 *
 * @param rank r, a multiple of k
 * @param hybridRank rank of the plain LoRA; 0 for none
 * @param alpha numerator of the scale
 * @param dropout share of the input that is dropped before the update
 * @param blocks k, which must divide the sizes of the layers
 */
public record GraLora(
    int rank,
    int hybridRank,
    double alpha,
    double dropout,
    int blocks,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  public GraLora {
    Checks.atLeast("rank", rank, 1);
    Checks.atLeast("hybridRank", hybridRank, 0);
    Checks.positive("alpha", alpha);
    Checks.fraction("dropout", dropout);
    Checks.atLeast("blocks", blocks, 1);
    if (rank % blocks != 0) {
      throw new RecipeException(
          "rank must be a multiple of blocks, was %d with %d".formatted(rank, blocks));
    }
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** GraLoRA of a rank in 2 × 2 blocks on the feed-forward blocks, alpha twice the rank. */
  public static GraLora rank(int rank) {
    return new GraLora(rank, 0, 2.0 * rank, 0, 2, Targets.feedForward(), List.of());
  }

  public GraLora on(Targets newTargets) {
    return new GraLora(rank, hybridRank, alpha, dropout, blocks, newTargets, modulesToSave);
  }

  @Override
  public String name() {
    return "gralora";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    int k = blocks;
    if (layer.in() % k != 0 || layer.out() % k != 0) {
      throw new PeftException(
          "'%s' is [%d, %d], which %d blocks do not divide; choose another number of blocks"
              .formatted(layer.path(), layer.out(), layer.in(), k));
    }
    int in = layer.in() / k;
    int out = layer.out() / k;
    Expression a = layer.parameter("gralora_A", layer.uniform(1 / Math.sqrt(in), k, in, rank));
    Expression b = layer.parameter("gralora_B", AdaptedLinear.filled(0, k, rank, out));
    // block (n of the inputs, c of the outputs): A[n]'s c-th part times B[c]'s n-th
    Expression left = a.reshaped(k, in, k, rank / k).transposed(0, 2, 1, 3);
    Expression right = b.reshaped(k, k, rank / k, out).transposed(1, 0, 2, 3);
    Expression update = left.matmul(right).transposed(0, 2, 1, 3).reshaped(layer.in(), layer.out());
    double scale = alpha / (rank + hybridRank);
    Expression x = layer.x().dropout(dropout);
    Expression y = layer.y().plus(x.matmul(update).times(scale));
    if (hybridRank == 0) {
      return y;
    }
    Expression plainA =
        layer.parameter("gralora_A_general.weight", layer.kaiming(hybridRank, layer.in()));
    Expression plainB =
        layer.parameter(
            "gralora_B_general.weight", AdaptedLinear.filled(0, layer.out(), hybridRank));
    return y.plus(x.matmul(plainA.transposed()).matmul(plainB.transposed()).times(scale));
  }
}
