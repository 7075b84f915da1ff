package io.expertatlas.trace;

/**
 * A trace that cannot be read as what it claims to be. The message names the file, the place in it,
 * the value found and what was expected, in one line: control characters, which may come from the
 * file, are shown as '?', line breaks as blanks.
 */
public final class TraceFormatException extends RuntimeException {
  /** Creates the exception; see the class for what the message holds. */
  public TraceFormatException(String message) {
    super(oneLine(message));
  }

  /** Creates the exception with the failure that caused it. */
  public TraceFormatException(String message, Throwable cause) {
    super(oneLine(message), cause);
  }

  private static String oneLine(String message) {
    return message
        .replaceAll("\\s*[\\r\\n]\\s*", " ")
        .replaceAll("[\\p{Cntrl}\\u0080-\\u009f\\u2028\\u2029]", "?");
  }
}
