package io.peft4j.adapters.bottleneck;

import io.peft4j.RecipeException;

/**
 * An invertible adapter behind the embeddings (Pfeiffer et al. 2020, arXiv 2005.00052), an additive
 * coupling as in NICE (Dinh et al. 2015, arXiv 1410.8516): for x in two halves, y₁ = x₁ + F(x₂), y₂
 * = x₂ + G(y₁), with F and G networks of two layers.
 *
 * @param reduction the size of a half / the width inside F and G
 */
public record Coupling(double reduction) {
  public Coupling {
    if (!(reduction > 0) || Double.isInfinite(reduction)) {
      throw new RecipeException(
          "inv_adapter_reduction_factor must be a positive number, was " + reduction);
    }
  }
}
