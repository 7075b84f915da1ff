package io.expertatlas.trace.format;

import java.util.Arrays;

/**
 * Base 85 as Python's {@code base64.b85encode} writes it (the alphabet of RFC 1924): 5 characters
 * for 4 bytes, the last group shortened.
 */
final class Base85 {
  private static final String ALPHABET =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
  private static final byte[] VALUES = new byte[128];

  static {
    Arrays.fill(VALUES, (byte) -1);
    for (int i = 0; i < ALPHABET.length(); i++) {
      VALUES[ALPHABET.charAt(i)] = (byte) i;
    }
  }

  private Base85() {}

  /** Length of the text of so many bytes. */
  static long textLength(long bytes) {
    return bytes / 4 * 5 + (bytes % 4 == 0 ? 0 : bytes % 4 + 1);
  }

  /**
   * Decodes a text.
   *
   * @throws IllegalArgumentException if it is none
   */
  static byte[] decode(String text) {
    int rest = text.length() % 5;
    if (rest == 1) {
      throw new IllegalArgumentException("a last group of 1 character");
    }

    byte[] bytes = new byte[text.length() / 5 * 4 + (rest == 0 ? 0 : rest - 1)];
    int at = 0;
    for (int start = 0; start < text.length(); start += 5) {
      long value = 0;
      for (int i = start; i < start + 5; i++) {
        char letter = i < text.length() ? text.charAt(i) : '~';
        if (letter >= 128 || VALUES[letter] < 0) {
          throw new IllegalArgumentException("illegal character %x".formatted((int) letter));
        }

        value = value * 85 + VALUES[letter];
      }

      if (value > 0xffffffffL) {
        throw new IllegalArgumentException("group at character %d is too large".formatted(start));
      }

      for (int shift = 24; shift >= 0 && at < bytes.length; shift -= 8) {
        bytes[at++] = (byte) (value >> shift);
      }
    }

    return bytes;
  }
}
