package io.expertatlas.runtime;

/** Checks of numbers in records. */
final class Checks {
  private Checks() {}

  static void positive(String name, long value) {
    if (value < 1) {
      throw new IllegalArgumentException("Invalid %s: %d, at least 1".formatted(name, value));
    }
  }

  static void divisor(String name, int divisor, String ofName, int number) {
    if (number % divisor != 0) {
      throw new IllegalArgumentException(
          "Invalid %s: %d, which %s (%d) does not divide".formatted(ofName, number, name, divisor));
    }
  }
}
