package io.peft4j.adapters.composition;

import io.peft4j.RecipeException;

/**
 * The attention of an AdapterFusion.
 *
 * @param query whether h passes a layer of its own first
 * @param key whether uᵢ does for the scores
 * @param value whether uᵢ does for the sum
 * @param queryBeforeNorm whether h is taken before the block's own sum and norm
 * @param residualBefore whether the residual is added to each uᵢ rather than to the sum
 * @param valueBeforeSoftmax whether the value layer comes before the sum rather than behind it
 * @param identityValue whether the value layer starts near the identity
 * @param dropout the probability with which scores are dropped in training; negative for the
 *     model's own of its attention
 */
public record Mixing(
    boolean query,
    boolean key,
    boolean value,
    boolean queryBeforeNorm,
    boolean residualBefore,
    boolean valueBeforeSoftmax,
    boolean identityValue,
    double dropout) {
  /** With a value layer, which starts near the identity; AdapterHub's default. */
  public static final Mixing DYNAMIC = new Mixing(true, true, true, false, false, true, true, -1);

  /** Without a value layer. */
  public static final Mixing STATIC = new Mixing(true, true, false, false, false, true, false, -1);

  public Mixing {
    if (!query && !key && !value) {
      throw new RecipeException("a fusion needs a query, key or value layer; set one");
    }
    if (!(dropout < 1)) {
      throw new RecipeException("dropout_prob must be below 1, was " + dropout);
    }
  }
}
