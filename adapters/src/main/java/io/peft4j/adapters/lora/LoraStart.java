package io.peft4j.adapters.lora;

import java.util.Locale;

/** How A and B start. Embeddings always start as {@link #DEFAULT} says. */
public enum LoraStart {
  /** A uniform in ±1/√in, B zero; of an embedding A zero, B normal. */
  DEFAULT,
  /** A normal with deviation 1/r, B zero. */
  GAUSSIAN,
  /** A and B random with B A = 0, from the rows of one orthogonal matrix; the rank must be even. */
  ORTHOGONAL,
  /**
   * PiSSA (Meng et al. 2024, arXiv 2404.02948): s B A is the part of W with the largest singular
   * values, which leaves W.
   */
  PISSA,
  /** OLoRA (Büyükakyüz 2024, arXiv 2406.01775): B and A from W = Q R; s B A leaves W. */
  OLORA,
  /**
   * EVA (Paischer et al. 2024, arXiv 2410.07170): A holds the directions in which the inputs of the
   * layer vary most, B is zero, and ranks grow where that explains more; found out from data when
   * training begins.
   */
  EVA,
  /**
   * LoRA-GA (Wang et al. 2024, arXiv 2407.05000): A and B from the singular vectors of the gradient
   * of W; s B A leaves W; found out from data when training begins.
   */
  LORA_GA;

  /** The name in recipes and files. */
  String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Whether data decide about it. */
  boolean needsData() {
    return this == EVA || this == LORA_GA;
  }

  /** Whether the base weight is changed, so that the adapted model starts as the base model. */
  public boolean leavesResidual() {
    return this == PISSA || this == OLORA || this == LORA_GA;
  }
}
