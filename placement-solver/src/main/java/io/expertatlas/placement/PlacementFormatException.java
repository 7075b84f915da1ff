package io.expertatlas.placement;

/**
 * A placement file that cannot be read as what it claims to be. The message names the file, the
 * line or field, what was found and what was expected.
 */
public final class PlacementFormatException extends RuntimeException {
  /** Creates the exception; see the class for what the message holds. */
  public PlacementFormatException(String message) {
    super(message);
  }

  /** Creates the exception with the failure that caused it. */
  public PlacementFormatException(String message, Throwable cause) {
    super(message, cause);
  }
}
