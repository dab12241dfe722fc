package io.peft4j.adapters.psoft;

import io.peft4j.adapter.Targets;
import io.peft4j.adapters.linear.AdaptedLinear;
import io.peft4j.adapters.linear.Checks;
import io.peft4j.adapters.linear.Expression;
import io.peft4j.adapters.linear.LinearMethod;
import io.peft4j.adapters.linear.Rotations;
import io.peft4j.graph.DType;
import io.peft4j.math.Svd;
import java.util.List;

/**
 * PSOFT (arXiv 2505.11235): the update is s B (R − I) A with A [r, in] and s B [out, r] the part of
 * W in its r leading singular directions and R a trained rotation among them, with scales before
 * and behind; s = alpha / r. R starts as the identity, so that the model starts unchanged.
 *
 * @param rank r
 * @param alpha numerator of the scale
 * @param orthogonal whether R is a rotation (by Cayley's formula); otherwise any matrix
 * @param scaleInputs whether R's columns are scaled
 * @param scaleOutputs whether R's rows are scaled
 * @param useCayleyNeumann whether the inverse is replaced by a few terms of its series
 * @param numCayleyNeumannTerms how many
 * @param dropout share of the input that is dropped before the update
 */
public record Psoft(
    int rank,
    double alpha,
    boolean orthogonal,
    boolean scaleInputs,
    boolean scaleOutputs,
    boolean useCayleyNeumann,
    int numCayleyNeumannTerms,
    double dropout,
    Targets targets,
    List<String> modulesToSave)
    implements LinearMethod {

  public Psoft {
    Checks.atLeast("rank", rank, 1);
    Checks.positive("alpha", alpha);
    Checks.atLeast("numCayleyNeumannTerms", numCayleyNeumannTerms, 2);
    Checks.fraction("dropout", dropout);
    modulesToSave = List.copyOf(modulesToSave);
  }

  /** PSOFT of a rank on the feed-forward blocks, alpha like the rank. */
  public static Psoft rank(int rank) {
    return new Psoft(rank, rank, true, true, true, false, 5, 0, Targets.feedForward(), List.of());
  }

  public Psoft on(Targets newTargets) {
    return new Psoft(
        rank,
        alpha,
        orthogonal,
        scaleInputs,
        scaleOutputs,
        useCayleyNeumann,
        numCayleyNeumannTerms,
        dropout,
        newTargets,
        modulesToSave);
  }

  @Override
  public String name() {
    return "psoft";
  }

  @Override
  public Expression adapt(AdaptedLinear layer) {
    Checks.atMost("r", rank, Math.min(layer.in(), layer.out()), layer.path());
    Svd svd = Svd.inSinglePrecision(layer.weightMatrix()).truncated(rank);
    Expression a = layer.constant("psoft_A", svd.vTransposed().toTensor(DType.FLOAT32));
    Expression b =
        layer.constant("psoft_sB", svd.u().scaledColumns(svd.singular()).toTensor(DType.FLOAT32));
    Expression rotation = rotation(layer);
    if (scaleOutputs) {
      rotation =
          layer
              .parameter("psoft_R.vector_b", AdaptedLinear.filled(1, rank))
              .reshaped(rank, 1)
              .times(rotation);
    }
    if (scaleInputs) {
      rotation = rotation.times(layer.parameter("psoft_R.vector_a", AdaptedLinear.filled(1, rank)));
    }
    Expression low = layer.x().dropout(dropout).matmul(a.transposed());
    Expression turned = low.matmul(rotation.transposed()).minus(low);
    return layer.y().plus(turned.matmul(b.transposed()));
  }

  /** R [r, r]; PEFT's is (I + Q)(I − Q)⁻¹, Cayley's formula for −Q. */
  private Expression rotation(AdaptedLinear layer) {
    if (!orthogonal) {
      return layer.parameter("psoft_R.weight", AdaptedLinear.identity(rank));
    }
    int angles = rank * (rank - 1) / 2;
    Expression upper =
        layer.parameter("psoft_R.weight", AdaptedLinear.filled(0, angles)).reshaped(1, angles);
    Expression skew = Rotations.skew(layer, upper, rank);
    Expression matrix =
        useCayleyNeumann
            ? Rotations.neumann(layer, skew, rank, numCayleyNeumannTerms)
            : Rotations.cayley(layer, skew.negated(), rank);
    return matrix.squeezed(0);
  }
}
