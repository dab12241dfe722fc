package io.peft4j.adapters.vblora;

import io.peft4j.PeftException;
import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.graph.DType;
import io.peft4j.graph.Tensor;
import java.util.List;

/**
 * VB-LoRA (Li et al., arXiv 2405.15179): LoRA's A and B are cut into vectors of length b, each a
 * mixture of the k vectors of a shared bank that have the largest logits, weighted by their
 * softmax.
 *
 * @param rank r
 * @param numVectors size of the bank
 * @param vectorLength b, which must divide the sizes of the layers
 * @param topk k
 * @param saveOnlyTopkWeights whether the files hold the chosen weights instead of the logits, which
 *     is smaller and leaves only the bank to train
 * @param dropout share of the input that is dropped before the update
 * @param initVectorBankBound the bank starts uniform within it
 * @param initLogitsStd the logits start normal with it
 */
public record VbLora(
    int rank,
    int numVectors,
    int vectorLength,
    int topk,
    boolean saveOnlyTopkWeights,
    double dropout,
    double initVectorBankBound,
    double initLogitsStd,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  public VbLora {
    Checks.atLeast("rank", rank, 1);
    Checks.atLeast("numVectors", numVectors, 1);
    Checks.atLeast("vectorLength", vectorLength, 1);
    Checks.atLeast("topk", topk, 1);
    Checks.fraction("dropout", dropout);
    Checks.positive("initVectorBankBound", initVectorBankBound);
    Checks.positive("initLogitsStd", initLogitsStd);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** VB-LoRA of a rank on the feed-forward blocks. */
  public static VbLora rank(int rank) {
    return new VbLora(rank, 256, 256, 2, false, 0, 0.02, 0.1, Targets.feedForward(), List.of());
  }

  public VbLora on(Targets newTargets) {
    return new VbLora(
        rank,
        numVectors,
        vectorLength,
        topk,
        saveOnlyTopkWeights,
        dropout,
        initVectorBankBound,
        initLogitsStd,
        newTargets,
        modulesToSave);
  }

  @Override
  public String name() {
    return "vblora";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    if (layer.in() % vectorLength != 0 || layer.out() % vectorLength != 0) {
      throw new PeftException(
          "'%s' is [%d, %d], which vectors of %d do not divide; choose another vector_length"
              .formatted(layer.path(), layer.out(), layer.in(), vectorLength));
    }
    Expression bank =
        layer.sharedParameter(
            "vblora_vector_bank",
            () -> layer.uniform(initVectorBankBound, numVectors, vectorLength));
    int inTiles = layer.in() / vectorLength;
    int outTiles = layer.out() / vectorLength;
    Expression a = mixed(layer, bank, "vblora_logits_A", rank, inTiles).reshaped(rank, layer.in());
    Expression b =
        mixed(layer, bank, "vblora_logits_B", outTiles, rank)
            .transposed(0, 2, 1)
            .reshaped(layer.out(), rank);
    Expression low = layer.x().dropout(dropout).matmul(a.transposed());
    return layer.y().plus(low.matmul(b.transposed()));
  }

  /** The mixtures [rows, columns, b]. */
  private Expression mixed(
      AdaptedLinear layer, Expression bank, String name, int rows, int columns) {
    Expression weights;
    Expression chosen;
    if (saveOnlyTopkWeights) {
      Expression most =
          layer.stored(
              name + "_topk_weights", AdaptedLinear.filled(1.0 / topk, rows, columns, topk - 1));
      chosen = layer.stored(name + "_topk_indices", Tensor.zeros(indexType(), rows, columns, topk));
      weights = most.concat(-1, most.sum(-1, true).negated().plus(1));
    } else {
      Expression logits =
          layer.parameter(name, layer.normal(initLogitsStd, rows, columns, numVectors));
      Expression.Largest largest = logits.largest(topk);
      weights = largest.values().softmax(-1);
      chosen = largest.indices();
    }
    return bank.gathered(0, chosen).times(weights.unsqueezed(-1)).sum(2, false);
  }

  /** The narrowest type that PEFT takes for the indices. */
  private DType indexType() {
    if (numVectors < 1 << 8) {
      return DType.UINT8;
    }
    return numVectors < 1 << 15 ? DType.INT16 : DType.INT32;
  }
}
