package io.peft4j.adapters.bottleneck;

import io.peft4j.RecipeException;

/**
 * Where norms and residual sums lie around a sequential bottleneck.
 *
 * @param originalBefore whether the block's own sum and norm come before the bottleneck
 * @param originalAfter whether they come after it
 * @param before whether the bottleneck begins with a norm of its own
 * @param after whether it ends with one
 * @param residual what is added to the bottleneck's output
 * @param residualBeforeAfter whether that is added before the norm at the end
 */
public record Norms(
    boolean originalBefore,
    boolean originalAfter,
    boolean before,
    boolean after,
    Residual residual,
    boolean residualBeforeAfter) {

  /** What is added to the bottleneck's output. */
  public enum Residual {
    /** What the block gives, before its own sum. */
    BLOCK,
    /** The block's own sum, before its norm. */
    SUM,
    /** What the bottleneck reads. */
    INPUT
  }

  public Norms {
    if (residual == Residual.SUM && !originalBefore) {
      throw new RecipeException(
          "residual_before_ln 'post_add' needs original_ln_before: without it there is no sum"
              + " before the bottleneck");
    }
  }

  /** Houlsby's: the bottleneck lies before the block's sum and norm. */
  static final Norms BEFORE_SUM = new Norms(false, true, false, false, Residual.BLOCK, false);

  /** Pfeiffer's: the block's sum and norm come before the bottleneck and once more after it. */
  static final Norms TWICE = new Norms(true, true, false, false, Residual.BLOCK, false);
}
