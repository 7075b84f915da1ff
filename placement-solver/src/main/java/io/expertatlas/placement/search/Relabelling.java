package io.expertatlas.placement.search;

import io.expertatlas.affinity.Transitions;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.Topology;
import java.util.Arrays;
import java.util.Optional;

/**
 * Other names for the GPUs of each layer, so that tokens hop least. Which experts share a GPU, and
 * which GPUs share a node, stays: so do fan-out and loads, to the last digit. The best names of a
 * layer depend on those of the layer before alone, one assignment problem a gap (nodes and the GPUs
 * in them at once), so the whole is exact.
 */
public final class Relabelling {
  private Relabelling() {}

  /**
   * The placement with the best names.
   *
   * @return empty if names are not free: nodes, links or slots differ, or experts have copies
   */
  public static Optional<Placement> of(Transitions transitions, Placement placement) {
    Topology topology = placement.topology();
    if (!isFree(topology) || placement.hasCopies()) {
      return Optional.empty();
    }

    int[][] map = placement.toArray();
    int gpus = topology.gpus();
    BestNames names = BestNames.ofEqualParts(topology);
    long[] stays = new long[gpus * gpus];
    int[] sameAs = new int[gpus];
    for (int layer = 1; layer < map.length; layer++) {
      Arrays.fill(stays, 0);
      for (int from = 0; from < map[layer].length; from++) {
        int row = map[layer - 1][from] * gpus;
        for (int to = 0; to < map[layer].length; to++) {
          stays[row + map[layer][to]] += transitions.firstChoices(layer - 1, from, to);
        }
      }

      names.names(stays, sameAs);
      for (int i = 0; i < map[layer].length; i++) {
        map[layer][i] = sameAs[map[layer][i]];
      }
    }

    return Optional.of(new Placement(topology, map));
  }

  /** Hops of all tokens under a placement without copies. */
  public static long hops(Transitions transitions, Placement placement) {
    long hops = 0;
    for (int gap = 0; gap < transitions.gaps(); gap++) {
      for (int from = 0; from < placement.experts(); from++) {
        for (int to = 0; to < placement.experts(); to++) {
          hops +=
              transitions.firstChoices(gap, from, to)
                  * placement
                      .topology()
                      .hopCost(placement.gpu(gap, from), placement.gpu(gap + 1, to));
        }
      }
    }

    return hops;
  }

  private static boolean isFree(Topology topology) {
    boolean free = topology.isSymmetric();
    for (int gpu = 1; free && topology.hasSlots() && gpu < topology.gpus(); gpu++) {
      free = topology.slots(gpu) == topology.slots(0);
    }

    return free;
  }
}
