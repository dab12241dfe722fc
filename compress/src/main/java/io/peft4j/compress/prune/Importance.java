package io.peft4j.compress.prune;

import java.util.Locale;

/**
 * What a unit is worth. An activation a is what a unit sends into the layers that read it; sums
 * over tokens and rows are over those of the calibration data.
 */
public enum Importance {
  /** The length of all weights of the unit as one vector. Needs no data. */
  MAGNITUDE(false),
  /**
   * Σ |a · dL/da| over rows and tokens (Molchanov et al. 2017, arXiv 1611.06440); of a head |Σ a ·
   * dL/da| of each batch (Michel et al. 2019, arXiv 1905.10650).
   */
  TAYLOR(true),
  /** (Σ a · dL/da)² of each batch, summed (Molchanov et al. 2019, arXiv 1906.10771). */
  TAYLOR_SQUARED(true),
  /**
   * The Fisher information of a mask on the unit (Kwon et al. 2022, arXiv 2204.09656): Σ over rows
   * of (Σ a · dL/da)².
   */
  FISHER(true),
  /** Σ |w · dL/dw| over all weights of the unit (LLM-Pruner, arXiv 2305.11627). */
  WEIGHT_TAYLOR(true),
  /** Σ w² · F over all weights of the unit, F the mean over rows of (dL/dw)². */
  WEIGHT_FISHER(true),
  /**
   * The mean of |a| over the tokens of a row, then the length of the vector of all rows
   * (Muralidharan et al. 2024, arXiv 2407.14679).
   */
  ACTIVATION(false),
  /** Σ |w| · ‖a‖ over the weights that read the unit (Sun et al. 2023, arXiv 2306.11695). */
  WANDA(false);

  private final boolean ofLoss;

  Importance(boolean ofLoss) {
    this.ofLoss = ofLoss;
  }

  /** Whether it is a change of the loss, which needs labels and can be held across layers. */
  public boolean ofLoss() {
    return ofLoss;
  }

  /** Whether it looks at data. */
  public boolean needsData() {
    return this != MAGNITUDE;
  }

  /** The name in lower case, words joined by hyphens. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
