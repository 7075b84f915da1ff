package io.expertatlas.runtime.cuda;

/** 16-bit floats. */
final class Bits {
  private Bits() {}

  static float fromBf16(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /** Rounds to the nearest, ties to even; NaN stays NaN. */
  static short toBf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) (bits >>> 16 | 0x40);
    }

    return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
  }

  static float fromF16(short half) {
    int bits = half & 0xffff;
    int sign = bits << 16 & 0x80000000;
    int exponent = bits >>> 10 & 0x1f;
    int fraction = bits & 0x3ff;
    if (exponent == 0) {
      float small = fraction * 0x1p-24f;
      return sign == 0 ? small : -small;
    }

    int wide = exponent == 31 ? 0xff : exponent + 112;
    return Float.intBitsToFloat(sign | wide << 23 | fraction << 13);
  }
}
