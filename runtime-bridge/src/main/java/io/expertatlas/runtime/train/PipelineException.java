package io.expertatlas.runtime.train;

/** A pipeline that stopped: which device failed, at what, and why. */
public final class PipelineException extends RuntimeException {
  private static final long serialVersionUID = 1;

  PipelineException(String message, Throwable cause) {
    super(message, cause);
  }
}
