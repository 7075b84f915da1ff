package io.expertatlas.runtime.cpu;

import java.util.Arrays;

/** Functions of floats where those of java.lang.Math cost too much. */
final class FloatMath {
  private static final float LOG2_E = 1.44269504f;
  private static final float LN2_HIGH = 0.693359375f; // few bits, so that n * LN2_HIGH is exact
  private static final float LN2_LOW = -2.12194440e-4f;
  private static final float LOWEST = -87.3f;
  private static final float HIGHEST = 88.3f;

  private FloatMath() {}

  /**
   * e^x, relative error below 3e-7; 0 below -87.3, infinite above 88.3. Reduces by multiples of ln
   * 2 to |r| at most ln(2)/2, where the series of e^r to the seventh power suffices.
   */
  static float exp(float x) {
    if (!(x >= LOWEST)) {
      return x < LOWEST ? 0 : x; // NaN stays
    }

    if (x > HIGHEST) {
      return Float.POSITIVE_INFINITY;
    }

    float scaled = x * LOG2_E;
    int n = (int) (scaled + (scaled >= 0 ? 0.5f : -0.5f));
    float r = x - n * LN2_HIGH - n * LN2_LOW;
    float series = 1 / 5040f;
    series = series * r + 1 / 720f;
    series = series * r + 1 / 120f;
    series = series * r + 1 / 24f;
    series = series * r + 1 / 6f;
    series = series * r + 0.5f;
    series = series * r + 1f;
    series = series * r + 1f;
    return series * Float.intBitsToFloat(n + 127 << 23);
  }

  /** x / (1 + e^-x). */
  static float silu(float x) {
    return x / (1 + exp(-x));
  }

  /** Turns numbers into their softmax, in place; all -infinity or none at all: zeros. */
  static void softmax(float[] values, int count) {
    float max = Float.NEGATIVE_INFINITY;
    for (int i = 0; i < count; i++) {
      max = Math.max(max, values[i]);
    }

    if (max == Float.NEGATIVE_INFINITY) {
      Arrays.fill(values, 0, count, 0);
      return;
    }

    float sum = 0;
    for (int i = 0; i < count; i++) {
      values[i] = exp(values[i] - max);
      sum += values[i];
    }

    float inverse = 1 / sum;
    for (int i = 0; i < count; i++) {
      values[i] *= inverse;
    }
  }
}
