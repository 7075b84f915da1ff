package io.expertatlas.placement.copies;

import java.util.Arrays;

/**
 * A lower bound on the choices of the hottest GPU of a layer, whatever gets copies and wherever
 * they are. The hottest GPU carries at least the mean; at least the largest share, which giving
 * every redundant slot to the expert with the largest share makes smallest; and without redundant
 * slots at least the hottest expert with the coldest ones that fill its GPU.
 */
final class LoadBound {
  private LoadBound() {}

  /** The bound for a layer, in whole choices. */
  static long of(long[] choices, int gpus, int slots) {
    long sum = Arrays.stream(choices).sum();
    long bound = Math.max(ceil(sum, gpus), largestShare(choices, slots));
    if (slots == choices.length) {
      long[] sorted = choices.clone();
      Arrays.sort(sorted);
      long packed = sorted[sorted.length - 1];
      for (int i = 0; i < slots / gpus - 1; i++) {
        packed += sorted[i];
      }

      bound = Math.max(bound, packed);
    }

    return bound;
  }

  private static long largestShare(long[] choices, int slots) {
    int[] copies = new int[choices.length];
    Arrays.fill(copies, 1);
    for (int slot = choices.length; slot < slots; slot++) {
      copies[largest(choices, copies)]++;
    }

    int largest = largest(choices, copies);
    return ceil(choices[largest], copies[largest]);
  }

  private static int largest(long[] choices, int[] copies) {
    int largest = 0;
    for (int expert = 1; expert < choices.length; expert++) {
      if (choices[expert] / (double) copies[expert] > choices[largest] / (double) copies[largest]) {
        largest = expert;
      }
    }

    return largest;
  }

  static long ceil(long amount, long parts) {
    return amount / parts + (amount % parts == 0 ? 0 : 1);
  }
}
