package io.peft4j;

/**
 * A checkpoint or adapter file is damaged or contradicts itself; the message names file, tensor and
 * offset.
 */
public final class CheckpointFormatException extends PeftException {
  private static final long serialVersionUID = 1L;

  public CheckpointFormatException(String message) {
    super(message);
  }

  public CheckpointFormatException(String message, Throwable cause) {
    super(message, cause);
  }
}
