package io.expertatlas.placement.copies;

import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;

/**
 * Changes the packing of one layer by exchanges of slots and new experts for the slots of experts
 * that have several copies, within a cap on load, so that it costs less. Not safe for several
 * threads.
 */
final class LayerAnneal {
  private static final int SAMPLES = 60;
  private static final double COLDEST = 1e-3; // of the hottest temperature

  private final BooleanSupplier isOver;
  private final SplittableRandom random;

  /**
   * Anneals of some layers.
   *
   * @param isOver whether to stop; asked often
   */
  LayerAnneal(BooleanSupplier isOver, SplittableRandom random) {
    this.isOver = isOver;
    this.random = random;
  }

  /**
   * Replaces second copies that share a GPU with the first: by whatever costs least, within the
   * cap.
   */
  void fill(Packing packing, LayerCost cost, double cap) {
    for (int slot = 0; slot < packing.slots() && !isOver.getAsBoolean(); slot++) {
      int before = packing.expert(slot);
      int gpu = packing.gpuOf(slot);
      double least = 0;
      int best = before;
      for (int expert = 0; packing.held(before, gpu) > 1 && expert < packing.experts(); expert++) {
        if (packing.held(expert, gpu) == 0) {
          double change = assign(packing, cost, slot, expert);
          if (change < least && packing.hottest() <= cap) {
            least = change;
            best = expert;
          }

          packing.assign(slot, before);
        }
      }

      packing.assign(slot, best);
    }

    packing.reload();
  }

  /** Anneals a layer; it ends with the best packing on the way. */
  void anneal(Packing packing, LayerCost cost, double cap, int steps) {
    if (packing.gpus() == 1) {
      return;
    }

    double heat = heat(packing, cost);
    double now = 0;
    double least = 0;
    int[] best = packing.toArray();
    for (int step = 0; step < steps && !isOver.getAsBoolean(); step++) {
      double limit =
          -heat * Math.pow(COLDEST, step / (double) steps) * Math.log(random.nextDouble());
      now += propose(packing, cost, cap, limit);
      if (now < least - 1e-9) {
        least = now;
        best = packing.toArray();
      }
    }

    packing.become(best);
  }

  /** A temperature at which some of the changes that cost are kept. */
  private double heat(Packing packing, LayerCost cost) {
    double sum = 0;
    int[] kept = packing.toArray();
    for (int i = 0; i < SAMPLES && !isOver.getAsBoolean(); i++) {
      sum += Math.abs(propose(packing, cost, Double.MAX_VALUE, Double.MAX_VALUE)) / SAMPLES;
      packing.become(kept);
    }

    return Math.max(1e-9, 0.1 * sum);
  }

  /** Proposes a change and keeps it if it costs at most the limit; what it costs, 0 if not kept. */
  private double propose(Packing packing, LayerCost cost, double cap, double limit) {
    boolean spare = packing.slots() > packing.experts();
    int one = random.nextInt(packing.slots());
    if (spare && random.nextInt(3) == 0) {
      int before = packing.expert(one);
      int expert = random.nextInt(packing.experts());
      if (packing.copies(before) == 1 || before == expert) {
        return 0;
      }

      double change = assign(packing, cost, one, expert);
      if (change <= limit && packing.hottest() <= cap) {
        return change;
      }

      packing.assign(one, before);
      return 0;
    }

    int other = random.nextInt(packing.slots());
    int a = packing.expert(one);
    int b = packing.expert(other);
    int from = packing.gpuOf(one);
    int to = packing.gpuOf(other);
    double moved = packing.share(a) - packing.share(b);
    if (from == to
        || a == b
        || packing.load(from) - moved > cap
        || packing.load(to) + moved > cap) {
      return 0;
    }

    double before = cost.touching(packing, a, b);
    packing.swap(one, other);
    double change = cost.touching(packing, a, b) - before;
    if (change <= limit) {
      return change;
    }

    packing.swap(one, other);
    return 0;
  }

  private static double assign(Packing packing, LayerCost cost, int slot, int expert) {
    int before = packing.expert(slot);
    double costBefore = cost.touching(packing, before, expert);
    packing.assign(slot, expert);
    return cost.touching(packing, before, expert) - costBefore;
  }
}
