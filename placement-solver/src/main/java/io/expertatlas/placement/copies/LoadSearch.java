package io.expertatlas.placement.copies;

import java.util.SplittableRandom;

/**
 * Deals one layer's slots for the least load of the hottest GPU. Anneals the sum of squared loads
 * by exchanges of two slots and, if wanted, by new experts for the slots of experts that have
 * several: then who has copies and where they are is one search. Last, slots of the hottest GPU are
 * exchanged as long as that helps. An exchange never brings two copies of an expert together.
 */
final class LoadSearch {
  private static final int MOST_STEPS = 40_000;
  private static final int STEPS_PER_SLOT = 800;
  private static final double COLDEST = 1e-7; // of the hottest temperature

  private LoadSearch() {}

  /**
   * Improves a packing, or leaves it as it is.
   *
   * @param enough a load that need not be undercut
   * @param isFree whether the experts that have copies may change
   */
  static void improve(Packing packing, double enough, boolean isFree, SplittableRandom random) {
    int[] best = packing.toArray();
    double hottest = packing.hottest();
    double mean = 0;
    for (int gpu = 0; gpu < packing.gpus(); gpu++) {
      mean += packing.load(gpu) / packing.slots(); // choices of a slot
    }

    int steps = Math.min(MOST_STEPS, STEPS_PER_SLOT * packing.slots());
    boolean spare = isFree && packing.slots() > packing.experts();
    for (int step = 0; step < steps && hottest > enough && packing.gpus() > 1; step++) {
      double heat = mean * mean * Math.pow(COLDEST, step / (double) steps);
      boolean kept =
          spare && random.nextInt(4) == 0
              ? assign(packing, heat, random)
              : swap(packing, heat, random);
      if (kept && packing.hottest() < hottest) {
        hottest = packing.hottest();
        best = packing.toArray();
      }
    }

    packing.become(best);
    descend(packing);
  }

  private static boolean swap(Packing packing, double heat, SplittableRandom random) {
    int one = random.nextInt(packing.slots());
    int other = random.nextInt(packing.slots());
    int from = packing.gpuOf(one);
    int to = packing.gpuOf(other);
    if (from == to || joins(packing, one, to) || joins(packing, other, from)) {
      return false;
    }

    double moved = packing.share(packing.expert(one)) - packing.share(packing.expert(other));
    double change = 2 * moved * (moved + packing.load(to) - packing.load(from));
    if (!isKept(change, heat, random)) {
      return false;
    }

    packing.swap(one, other);
    return true;
  }

  /** Whether the expert of a slot has a copy on a GPU already. */
  private static boolean joins(Packing packing, int slot, int gpu) {
    return packing.held(packing.expert(slot), gpu) > 0;
  }

  private static boolean assign(Packing packing, double heat, SplittableRandom random) {
    int slot = random.nextInt(packing.slots());
    int before = packing.expert(slot);
    int expert = random.nextInt(packing.experts());
    if (packing.copies(before) == 1 || expert == before) {
      return false;
    }

    double squares = squares(packing);
    packing.assign(slot, expert);
    if (isKept(squares(packing) - squares, heat, random)) {
      return true;
    }

    packing.assign(slot, before);
    return false;
  }

  private static boolean isKept(double change, double heat, SplittableRandom random) {
    return change <= 0 || random.nextDouble() < Math.exp(-change / heat);
  }

  private static double squares(Packing packing) {
    double squares = 0;
    for (int gpu = 0; gpu < packing.gpus(); gpu++) {
      squares += packing.load(gpu) * packing.load(gpu);
    }

    return squares;
  }

  /** Exchanges slots of the hottest GPU while that cools it and heats no other as much. */
  static void descend(Packing packing) {
    while (cool(packing)) {
      packing.reload();
    }
  }

  private static boolean cool(Packing packing) {
    int hot = packing.hottestGpu();
    double hottest = packing.load(hot);
    double best = hottest * (1 - 1e-12);
    int bestOne = -1;
    int bestOther = -1;
    for (int one = 0; one < packing.slots(); one++) {
      for (int other = 0; other < packing.slots() && packing.gpuOf(one) == hot; other++) {
        int to = packing.gpuOf(other);
        double moved = packing.share(packing.expert(one)) - packing.share(packing.expert(other));
        double after = Math.max(hottest - moved, packing.load(to) + moved);
        if (to != hot && after < best && !joins(packing, one, to) && !joins(packing, other, hot)) {
          best = after;
          bestOne = one;
          bestOther = other;
        }
      }
    }

    if (bestOne < 0) {
      return false;
    }

    packing.swap(bestOne, bestOther);
    return true;
  }
}
