package io.expertatlas.runtime.cpu;

/** Floats as their upper halves. */
final class Bf16 {
  private Bf16() {}

  /** To the nearest, of two equally near ones to the even one; what is not a number stays so. */
  static short round(float value) {
    int bits = Float.floatToRawIntBits(value);
    return Float.isNaN(value)
        ? (short) (bits >>> 16 | 0x40)
        : (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
  }

  static void round(float[] values, short[] into, int count) {
    for (int i = 0; i < count; i++) {
      into[i] = round(values[i]);
    }
  }

  static void widen(short[] values, float[] into, int count) {
    for (int i = 0; i < count; i++) {
      into[i] = Float.intBitsToFloat(values[i] << 16);
    }
  }
}
