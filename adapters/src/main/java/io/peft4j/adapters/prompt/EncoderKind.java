package io.peft4j.adapters.prompt;

/** What makes the vectors of P-tuning while they are trained. */
public enum EncoderKind {
  /** Linear, ReLU, Linear, ReLU, Linear. */
  MLP,
  /** A bidirectional LSTM, then Linear, ReLU, Linear. */
  LSTM,
  /** Nothing: the vectors are trained themselves. */
  NONE
}
