package io.expertatlas.runtime.cpu;

import java.util.Arrays;

/** Nucleus sampling (arXiv 1904.09751). */
final class Sampling {
  private Sampling() {}

  /**
   * Picks from the smallest set of likeliest ids whose probabilities sum to {@code topP} or more.
   *
   * @param probabilities not negative
   * @param uniform in [0, 1)
   */
  static int pick(float[] probabilities, int count, float topP, float uniform) {
    long[] order = new long[count]; // likeliest first, equal ones by id
    for (int i = 0; i < count; i++) {
      order[i] = (long) ~Float.floatToRawIntBits(probabilities[i]) << 32 | i;
    }

    Arrays.sort(order);
    double sum = 0;
    int kept = 0;
    while (kept < count && (kept == 0 || sum < topP)) {
      sum += probabilities[(int) order[kept++]];
    }

    double running = 0;
    for (int i = 0; i < kept; i++) {
      running += probabilities[(int) order[i]];
      if (running > uniform * sum) {
        return (int) order[i];
      }
    }

    return (int) order[kept - 1];
  }
}
