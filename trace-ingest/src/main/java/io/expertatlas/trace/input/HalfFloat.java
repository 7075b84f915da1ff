package io.expertatlas.trace.input;

/** IEEE 754 binary16, which Java 17 cannot convert itself. */
public final class HalfFloat {
  private HalfFloat() {}

  /** The value of 16 bits: 1 sign, 5 exponent, 10 fraction. Exact. */
  public static float toFloat(short bits) {
    int sign = (bits & 0x8000) << 16;
    int exponent = bits >> 10 & 0x1f;
    int fraction = bits & 0x3ff;
    if (exponent == 0) {
      float small = fraction * 0x1p-24f; // subnormal, or zero
      return sign == 0 ? small : -small;
    }

    int wide = exponent == 0x1f ? 0xff : exponent - 15 + 127;
    return Float.intBitsToFloat(sign | wide << 23 | fraction << 13);
  }
}
