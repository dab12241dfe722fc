package io.peft4j.compress.distill;

/** Which layers of a stack a student keeps. */
public enum LayerChoice {
  /** Spread evenly, the last one among them. */
  SPREAD,
  /** The first ones. */
  FIRST,
  /** The last ones. */
  LAST,
  /**
   * Those that are left after removing, one after the other, the layer without which the scores
   * stay nearest to the teacher's.
   */
  IMPORTANCE
}
