package io.expertatlas.runtime.pipeline;

import java.util.List;

/**
 * Cross mapping (Mobius): neighbouring stages go to GPUs under different root complexes, so that a
 * prefetch does not share a host link with the load that the next device waits for.
 */
public final class CrossMapping {
  private CrossMapping() {}

  /**
   * Deals devices to GPUs: always one of the complex with most GPUs left that was not the last one.
   * The fewest neighbours d, d + 1 share a complex.
   *
   * @param complexOf {@code [gpu]} the root complex of each GPU
   * @return {@code [device]} its GPU
   */
  public static int[] of(List<Integer> complexOf) {
    int[] gpus = new int[complexOf.size()];
    boolean[] taken = new boolean[gpus.length];
    int last = -1;
    for (int device = 0; device < gpus.length; device++) {
      int best = -1;
      for (int gpu = 0; gpu < gpus.length; gpu++) {
        if (!taken[gpu] && (best < 0 || rank(complexOf, taken, last, gpu, best))) {
          best = gpu;
        }
      }

      gpus[device] = best;
      taken[best] = true;
      last = complexOf.get(best);
    }

    return gpus;
  }

  /** Whether a GPU goes before another. */
  private static boolean rank(List<Integer> complexOf, boolean[] taken, int last, int a, int b) {
    boolean otherA = complexOf.get(a) != last;
    boolean otherB = complexOf.get(b) != last;
    if (otherA != otherB) {
      return otherA;
    }

    return left(complexOf, taken, complexOf.get(a)) > left(complexOf, taken, complexOf.get(b));
  }

  private static int left(List<Integer> complexOf, boolean[] taken, int complex) {
    int left = 0;
    for (int gpu = 0; gpu < taken.length; gpu++) {
      left += !taken[gpu] && complexOf.get(gpu) == complex ? 1 : 0;
    }

    return left;
  }

  /** How many neighbours d, d + 1 are under one root complex. */
  public static int shared(List<Integer> complexOf, int[] gpus) {
    int shared = 0;
    for (int device = 1; device < gpus.length; device++) {
      shared += complexOf.get(gpus[device]).equals(complexOf.get(gpus[device - 1])) ? 1 : 0;
    }

    return shared;
  }
}
