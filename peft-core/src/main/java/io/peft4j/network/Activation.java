package io.peft4j.network;

/** What a hidden layer does with each of its sums. */
public enum Activation {
  /** max(0, x). */
  RELU("Relu"),
  /** 1 / (1 + e⁻ˣ). */
  SIGMOID("Sigmoid"),
  /** tanh x. */
  TANH("Tanh"),
  /** x Φ(x), Φ being the distribution function of N(0, 1) (Hendrycks and Gimpel 2016). */
  GELU("Gelu");

  private final String op;

  Activation(String op) {
    this.op = op;
  }

  /** The ONNX operator. */
  public String op() {
    return op;
  }
}
