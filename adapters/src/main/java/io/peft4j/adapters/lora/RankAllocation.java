package io.peft4j.adapters.lora;

/** How LoRA's linear layers come to their ranks. */
public enum RankAllocation {
  /** All have the rank that is given. */
  UNIFORM,
  /**
   * A short probe of the training data finds ranks of no more parameters in all, high where the
   * gradient of the weight has many large singular values: a change of W by a matrix of rank r and
   * a small norm ε lowers the loss by up to ε √(σ₁² + … + σᵣ²). Each layer has a rank between 1 and
   * twice what is given. Scales stay as they are. Found out when training begins, and kept in the
   * adapter's {@code rank_pattern} and {@code alpha_pattern}.
   */
  GRADIENT
}
