package io.expertatlas.runtime.cpu;

import java.util.Arrays;

/** Nucleus sampling (arXiv 1904.09751), ties kept or cut together. */
final class Sampling {
  private Sampling() {}

  /**
   * Picks, in order of ids, from those whose probability is at least the largest t with which they
   * sum to {@code topP} or more.
   *
   * @param probabilities not negative, of sum 1
   * @param uniform in [0, 1)
   */
  static int pick(float[] probabilities, int count, float topP, float uniform) {
    float cut = cut(probabilities, count, topP);
    double kept = 0;
    for (int i = 0; i < count; i++) {
      kept += probabilities[i] >= cut ? probabilities[i] : 0;
    }

    double running = 0;
    int last = 0;
    for (int i = 0; i < count && running <= uniform * kept; i++) {
      if (probabilities[i] >= cut && probabilities[i] > 0) {
        running += probabilities[i];
        last = i;
      }
    }

    return last;
  }

  private static float cut(float[] probabilities, int count, float topP) {
    if (topP >= 1) {
      return 0;
    }

    float[] sorted = Arrays.copyOf(probabilities, count);
    Arrays.sort(sorted);
    double sum = 0;
    int least = count;
    while (least > 0 && sum < topP) {
      sum += sorted[--least];
    }

    return sorted[least];
  }
}
