package io.peft4j.compress.distill;

/** How two vectors of one size are compared. */
public enum Distance {
  /** The mean of the squared differences of their elements. */
  MSE,
  /** 1 − the cosine of the angle between them. */
  COSINE
}
