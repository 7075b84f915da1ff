package io.expertatlas.trace;

/** Whether a token was part of a prompt or was generated. */
public enum Phase {
  /** The token was processed together with others of its sequence. */
  PREFILL,
  /** The token was processed alone, after the sequence before it. */
  DECODE;

  private static final Phase[] BY_CODE = values();

  /** The code in files: 0 prefill, 1 decode. */
  public int code() {
    return ordinal();
  }

  /**
   * The phase of a code in a file.
   *
   * @throws IllegalArgumentException if the code is neither 0 nor 1
   */
  public static Phase ofCode(int code) {
    if (code < 0 || code >= BY_CODE.length) {
      throw new IllegalArgumentException(
          "Invalid phase: %d, 0 (prefill) or 1 (decode)".formatted(code));
    }

    return BY_CODE[code];
  }
}
