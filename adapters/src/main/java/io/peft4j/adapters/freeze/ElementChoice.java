package io.peft4j.adapters.freeze;

/** Which elements of weights an {@link ElementMask} lets train. */
public enum ElementChoice {
  /**
   * Those that the loss depends on most, over all selected weights together: with the largest sums
   * of squared gradients of single rows of the training data (FISH Mask: Sung et al. 2021, arXiv
   * 2111.09839). Found out when training begins; until then they are as {@link #RANDOM} draws them.
   */
  FISHER,
  /** The largest of each weight. */
  MAGNITUDE,
  /** Drawn, of each weight the same share. */
  RANDOM
}
