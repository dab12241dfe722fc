package io.peft4j;

/**
 * A recipe or a configuration value is wrong; the message names line or field and the allowed
 * values.
 */
public final class RecipeException extends PeftException {
  private static final long serialVersionUID = 1L;

  public RecipeException(String message) {
    super(message);
  }

  public RecipeException(String message, Throwable cause) {
    super(message, cause);
  }
}
