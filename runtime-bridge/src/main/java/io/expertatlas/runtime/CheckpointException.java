package io.expertatlas.runtime;

/** A checkpoint is missing, broken or of another shape; the message names file and tensor. */
public final class CheckpointException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** Says what is wrong. */
  public CheckpointException(String message) {
    super(message);
  }

  /** Says what is wrong, and what told so. */
  public CheckpointException(String message, Throwable cause) {
    super(message, cause);
  }
}
