package io.peft4j;

/**
 * A model is sound but holds something that peft4j does not support; the message says what, where
 * and what would help.
 */
public final class UnsupportedModelException extends PeftException {
  private static final long serialVersionUID = 1L;

  public UnsupportedModelException(String message) {
    super(message);
  }

  public UnsupportedModelException(String message, Throwable cause) {
    super(message, cause);
  }
}
