package io.expertatlas.affinity;

/**
 * An affinity folder that cannot be read as what it claims to be. The message names the file, what
 * was found and what was expected, in one line.
 */
public final class AffinityFormatException extends RuntimeException {
  /** Creates the exception; see the class for what the message holds. */
  public AffinityFormatException(String message) {
    super(message);
  }

  /** Creates the exception with the failure that caused it. */
  public AffinityFormatException(String message, Throwable cause) {
    super(message, cause);
  }
}
