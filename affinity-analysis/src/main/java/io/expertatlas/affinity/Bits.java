package io.expertatlas.affinity;

/** Logarithms to base 2. */
final class Bits {
  private static final double LN_2 = Math.log(2);

  private Bits() {}

  static double log2(double x) {
    return Math.log(x) / LN_2;
  }
}
