package io.peft4j.adapters.bottleneck;

import io.peft4j.RecipeException;

/**
 * An invertible adapter behind the embeddings (Pfeiffer et al. 2020, arXiv 2005.00052); before a
 * language model's output layer lies its inverse.
 *
 * @param form how the halves of the features change each other
 * @param reduction the size of a half / the width inside the networks
 */
public record Coupling(Form form, double reduction) {
  /** How two halves of the features, x₁ and x₂, change each other. */
  public enum Form {
    /** By sums, as in NICE (Dinh et al. 2015, arXiv 1410.8516). */
    NICE,
    /** By factors and sums, as in Glow (Kingma and Dhariwal 2018, arXiv 1807.03039). */
    GLOW
  }

  public Coupling {
    if (!(reduction > 0) || Double.isInfinite(reduction)) {
      throw new RecipeException(
          "inv_adapter_reduction_factor must be a positive number, was " + reduction);
    }
  }

  /** By sums. */
  public static Coupling nice(double reduction) {
    return new Coupling(Form.NICE, reduction);
  }

  /** By factors and sums. */
  public static Coupling glow(double reduction) {
    return new Coupling(Form.GLOW, reduction);
  }
}
