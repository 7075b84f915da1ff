package io.expertatlas.placement;

import java.util.Arrays;
import java.util.SplittableRandom;

/** Placements with copies for tests. */
public final class Copies {
  private Copies() {}

  /** Equal slots filled at random, every expert at least once in every layer. */
  public static Placement random(
      Topology topology, int layers, int experts, int slotsPerGpu, SplittableRandom random) {
    int[][] slots = new int[layers][topology.gpus() * slotsPerGpu];
    for (int[] layer : slots) {
      Arrays.setAll(layer, slot -> slot < experts ? slot : random.nextInt(experts));
      for (int i = layer.length - 1; i > 0; i--) {
        int j = random.nextInt(i + 1);
        int kept = layer[i];
        layer[i] = layer[j];
        layer[j] = kept;
      }
    }

    return Placement.ofSlots(topology, experts, slots);
  }
}
