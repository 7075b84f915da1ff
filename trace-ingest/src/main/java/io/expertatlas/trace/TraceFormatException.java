package io.expertatlas.trace;

/**
 * A trace that cannot be read as what it claims to be. The message names the file, the place in it,
 * the value found and what was expected, in one line.
 */
public final class TraceFormatException extends RuntimeException {
  /** Creates the exception; see the class for what the message holds. */
  public TraceFormatException(String message) {
    super(message);
  }

  /** Creates the exception with the failure that caused it. */
  public TraceFormatException(String message, Throwable cause) {
    super(message, cause);
  }
}
