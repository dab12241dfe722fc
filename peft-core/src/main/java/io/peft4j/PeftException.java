package io.peft4j;

/**
 * Root of every error that peft4j raises on purpose. The message is one line that says what went
 * wrong, where, and what to do about it.
 */
public class PeftException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public PeftException(String message) {
    super(message);
  }

  public PeftException(String message, Throwable cause) {
    super(message, cause);
  }
}
