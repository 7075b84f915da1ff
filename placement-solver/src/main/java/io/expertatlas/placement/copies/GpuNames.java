package io.expertatlas.placement.copies;

import io.expertatlas.placement.Topology;
import java.util.Arrays;
import java.util.function.BooleanSupplier;

/** Names of GPUs of a layer for fewer hops: no load changes. */
final class GpuNames {
  private final Topology topology;
  private final BooleanSupplier isOver;

  GpuNames(Topology topology, BooleanSupplier isOver) {
    this.topology = topology;
    this.isOver = isOver;
  }

  /**
   * Exchanges names of GPUs, and of nodes, as long as that lowers the cost.
   *
   * @param withinNodes whether a GPU keeps to its node, unless all of the node move
   */
  void improve(Packing packing, HopCost cost, boolean withinNodes) {
    boolean better = true;
    while (better && !isOver.getAsBoolean()) {
      better = false;
      for (int one = 0; one < topology.gpus(); one++) {
        for (int other = one + 1; other < topology.gpus(); other++) {
          if (!withinNodes || topology.node(one) == topology.node(other)) {
            better |= rename(packing, cost, one, other, 1);
          }
        }
      }

      for (int one = 0; one < topology.nodes(); one++) {
        for (int other = one + 1; other < topology.nodes(); other++) {
          int width = topology.gpusOf(one);
          if (width == topology.gpusOf(other) && (width > 1 || withinNodes)) {
            better |=
                rename(packing, cost, topology.firstGpu(one), topology.firstGpu(other), width);
          }
        }
      }
    }
  }

  private static boolean rename(Packing packing, HopCost cost, int one, int other, int width) {
    int perGpu = packing.perGpu();
    int[] experts = new int[2 * width * perGpu];
    for (int i = 0; i < width * perGpu; i++) {
      experts[i] = packing.expert(one * perGpu + i);
      experts[width * perGpu + i] = packing.expert(other * perGpu + i);
    }

    int[] touched = Arrays.stream(experts).distinct().toArray();
    double before = cost.of(packing, touched);
    for (int i = 0; i < width; i++) {
      packing.rename(one + i, other + i);
    }

    if (cost.of(packing, touched) < before * (1 - 1e-12)) {
      return true;
    }

    for (int i = 0; i < width; i++) {
      packing.rename(one + i, other + i);
    }

    return false;
  }
}
