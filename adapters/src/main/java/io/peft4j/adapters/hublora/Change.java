package io.peft4j.adapters.hublora;

/** What becomes of a layer's output. */
public enum Change {
  /** LoRA (Hu et al. 2021, arXiv 2106.09685): y + (alpha / r) B A x. */
  LOW_RANK,
  /** (IA)³ (Liu et al. 2022, arXiv 2205.05638): alpha l ⊙ y. */
  SCALE,
  /**
   * VeRA (Kopiczko et al. 2024, arXiv 2310.11454): y + (alpha / r) Λb B Λd A x, with A and B frozen
   * and shared by all layers; AdapterHub trains Λb [out, out] and Λd [r, r] whole.
   */
  SHARED_LOW_RANK
}
