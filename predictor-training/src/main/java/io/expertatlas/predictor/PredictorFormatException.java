package io.expertatlas.predictor;

/**
 * A predictor, checkpoint or store that cannot be read as what it claims to be, or does not fit the
 * model it is used on. The message names the file and the two values, in one line.
 */
public final class PredictorFormatException extends RuntimeException {
  /** Creates the exception; see the class for what the message holds. */
  public PredictorFormatException(String message) {
    super(message);
  }

  /** Creates the exception with the failure that caused it. */
  public PredictorFormatException(String message, Throwable cause) {
    super(message, cause);
  }
}
