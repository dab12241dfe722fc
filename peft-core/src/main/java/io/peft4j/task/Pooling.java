package io.peft4j.task;

/** How the vectors of a text's tokens become one. */
public enum Pooling {
  /** The mean over the tokens that are not padding. */
  MEAN,
  /** The vector of the first token. */
  CLS
}
