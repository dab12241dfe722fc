package io.peft4j.compress.sparse;

import java.util.Locale;

/** What says which weights of a trained model go. */
public enum Importance {
  /** |w|. */
  MAGNITUDE,
  /** |w| ‖x‖ with the length of the weight's input over the calibration data (arXiv 2306.11695). */
  WANDA,
  /**
   * w² / [H⁻¹]ⱼⱼ with H = Xᵀ X of the calibration data, and the weights that stay make up for those
   * that go (arXiv 2301.00774).
   */
  SPARSEGPT;

  /** Whether it looks at calibration data. */
  public boolean needsCalibration() {
    return this != MAGNITUDE;
  }

  /** The name as users write it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
