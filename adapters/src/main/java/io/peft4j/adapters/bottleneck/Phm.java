package io.peft4j.adapters.bottleneck;

import io.peft4j.RecipeException;

/**
 * Parameterised hypercomplex multiplication (Zhang et al. 2021, arXiv 2102.08597), as Compacter
 * (Mahabadi et al. 2021, arXiv 2106.04647) makes the layers of its bottlenecks of it: H = Σᵢ Aᵢ ⊗
 * Wᵢ over {@code dimension} terms, Aᵢ [n, n], Wᵢ [in / n, out / n]; y = x H + b.
 *
 * @param dimension n
 * @param factorizedWeights whether Wᵢ is a product of two matrices of rank {@code rank}
 * @param sharedWeights whether all layers share W
 * @param sharedRule whether all layers share A
 * @param factorizedRule whether Aᵢ is an outer product
 * @param learnRule whether A trains
 * @param rank of the factors of W
 * @param bias whether there is b
 * @param ruleStart {@code normal} or {@code uniform}
 * @param ruleRange the standard deviation of a shared rule that starts normal
 * @param weightStart {@code glorot-uniform}, {@code glorot-normal}, {@code phm} or {@code normal}
 */
public record Phm(
    int dimension,
    boolean factorizedWeights,
    boolean sharedWeights,
    boolean sharedRule,
    boolean factorizedRule,
    boolean learnRule,
    int rank,
    boolean bias,
    String ruleStart,
    double ruleRange,
    String weightStart) {

  /** Compacter's settings. */
  public static final Phm COMPACTER =
      new Phm(4, true, false, true, false, true, 1, true, "normal", 1e-4, "glorot-uniform");

  public Phm {
    if (dimension < 1 || rank < 1) {
      throw new RecipeException(
          "phm_dim and phm_rank must be at least 1, were %d and %d".formatted(dimension, rank));
    }
    if (!ruleStart.equals("normal") && !ruleStart.equals("uniform")) {
      throw new RecipeException("phm_c_init must be normal or uniform, was " + ruleStart);
    }
    if (!(ruleRange > 0)) {
      throw new RecipeException("phm_init_range must be positive, was " + ruleRange);
    }
    switch (weightStart) {
      case "phm", "glorot-normal", "glorot-uniform", "normal" -> {}
      default ->
          throw new RecipeException(
              "hypercomplex_nonlinearity must be phm, glorot-normal, glorot-uniform or normal, was "
                  + weightStart);
    }
  }

  void requireDivides(int size) {
    if (size % dimension != 0) {
      throw new RecipeException(
          "phm_dim %d does not divide the layer size %d; change phm_dim or reduction_factor"
              .formatted(dimension, size));
    }
  }
}
