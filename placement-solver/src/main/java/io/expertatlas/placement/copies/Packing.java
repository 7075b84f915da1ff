package io.expertatlas.placement.copies;

import java.util.Arrays;

/**
 * The slots of one layer with an expert in each, and the loads that follow. Every expert has at
 * least one slot. Loads are kept up to date change by change and drift by rounding: {@link
 * #reload()} sets them right. Not safe for several threads.
 */
final class Packing {
  private final long[] choices; // [expert]
  private final int gpus;
  private final int perGpu;
  private final int[] expertOf; // [slot]
  private final int[] copies; // [expert]
  private final int[][] held; // [expert][gpu], slots there
  private final double[] load; // [gpu]

  /**
   * Starts from a copy of a deal.
   *
   * @param choices {@code [expert]}
   * @param expertOf {@code [slot]}, GPU by GPU
   */
  Packing(long[] choices, int gpus, int[] expertOf) {
    this.choices = choices;
    this.gpus = gpus;
    this.perGpu = expertOf.length / gpus;
    this.expertOf = expertOf.clone();
    this.copies = new int[choices.length];
    this.held = new int[choices.length][gpus];
    this.load = new double[gpus];
    become(expertOf);
  }

  /** Takes over a deal of the same slots, {@code [slot]}. */
  void become(int[] deal) {
    System.arraycopy(deal, 0, expertOf, 0, expertOf.length);
    Arrays.fill(copies, 0);
    for (int[] gpuCounts : held) {
      Arrays.fill(gpuCounts, 0);
    }

    for (int slot = 0; slot < expertOf.length; slot++) {
      copies[expertOf[slot]]++;
      held[expertOf[slot]][slot / perGpu]++;
    }

    reload();
  }

  /** Choices of each expert; not a copy. */
  long[] choices() {
    return choices;
  }

  int gpus() {
    return gpus;
  }

  int experts() {
    return copies.length;
  }

  int slots() {
    return expertOf.length;
  }

  int gpuOf(int slot) {
    return slot / perGpu;
  }

  int expert(int slot) {
    return expertOf[slot];
  }

  int copies(int expert) {
    return copies[expert];
  }

  /** Slots of an expert on a GPU. */
  int held(int expert, int gpu) {
    return held[expert][gpu];
  }

  /** Choices that land on a GPU. */
  double load(int gpu) {
    return load[gpu];
  }

  /** Choices of an expert that each of its copies gets. */
  double share(int expert) {
    return choices[expert] / (double) copies[expert];
  }

  /** A copy of the deal, {@code [slot]}. */
  int[] toArray() {
    return expertOf.clone();
  }

  /** The hottest GPU, the lowest of equals. */
  int hottestGpu() {
    int hottest = 0;
    for (int gpu = 1; gpu < gpus; gpu++) {
      hottest = load[gpu] > load[hottest] ? gpu : hottest;
    }

    return hottest;
  }

  /** Choices on the hottest GPU. */
  double hottest() {
    return load[hottestGpu()];
  }

  /**
   * Choices on the hottest GPU, exact and rounded up; {@code Long.MAX_VALUE} if the numbers of
   * copies have a common multiple too large for a placement.
   */
  long exactHottest() {
    long shares = 1;
    for (int number : copies) {
      shares = shares / divisor(shares, number) * number;
      if (shares > Integer.MAX_VALUE) {
        return Long.MAX_VALUE;
      }
    }

    long[] amounts = new long[gpus];
    for (int slot = 0; slot < expertOf.length; slot++) {
      int expert = expertOf[slot];
      amounts[slot / perGpu] += choices[expert] * (shares / copies[expert]);
    }

    return LoadBound.ceil(Arrays.stream(amounts).max().orElseThrow(), shares);
  }

  private static long divisor(long a, long b) {
    return b == 0 ? a : divisor(b, a % b);
  }

  /** Exchanges the experts of two slots. */
  void swap(int one, int other) {
    int a = expertOf[one];
    int b = expertOf[other];
    int from = one / perGpu;
    int to = other / perGpu;
    double difference = share(a) - share(b);
    load[from] -= difference;
    load[to] += difference;
    held[a][from]--;
    held[a][to]++;
    held[b][to]--;
    held[b][from]++;
    expertOf[one] = b;
    expertOf[other] = a;
  }

  /** Exchanges the names of two GPUs: all their slots. */
  void rename(int one, int other) {
    for (int i = 0; i < perGpu; i++) {
      swap(one * perGpu + i, other * perGpu + i);
    }
  }

  /** Slots on each GPU. */
  int perGpu() {
    return perGpu;
  }

  /** Puts another expert into a slot, whose expert must have another one. */
  void assign(int slot, int expert) {
    int before = expertOf[slot];
    if (before == expert) {
      return;
    }

    change(before, slot / perGpu, -1);
    change(expert, slot / perGpu, 1);
    expertOf[slot] = expert;
  }

  private void change(int expert, int gpu, int by) {
    double before = share(expert);
    copies[expert] += by;
    double difference = share(expert) - before;
    for (int g = 0; g < gpus; g++) {
      load[g] += held[expert][g] * difference;
    }

    held[expert][gpu] += by;
    load[gpu] += by * share(expert);
  }

  /** Computes the loads anew. */
  void reload() {
    Arrays.fill(load, 0);
    for (int slot = 0; slot < expertOf.length; slot++) {
      load[slot / perGpu] += share(expertOf[slot]);
    }
  }
}
