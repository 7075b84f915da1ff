package io.expertatlas.runtime.pipeline;

/** A lookup table, machine or preset that is not what its format says; with file and field. */
public final class PipelineFormatException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** With a message. */
  public PipelineFormatException(String message) {
    super(message);
  }

  /** With a message and what caused it. */
  public PipelineFormatException(String message, Throwable cause) {
    super(message, cause);
  }
}
