package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;

/**
 * A map of a chain and its cost, kept up to date change by change. With assertions on, every change
 * is checked against the cost from scratch. Not safe for several threads.
 */
final class DeltaCost {
  private final Chain chain;
  private final int[][] map; // [layer][i]
  private final boolean asserting;
  private long cost;

  /**
   * Starts from a copy of a map.
   *
   * @param asserting whether to recompute the cost from scratch after each change: slow
   */
  DeltaCost(Chain chain, int[][] map, boolean asserting) {
    this.chain = chain;
    this.map = Arrays.stream(map).map(int[]::clone).toArray(int[][]::new);
    this.asserting = asserting;
    this.cost = chain.cost(map);
  }

  long cost() {
    return cost;
  }

  /** A copy of the map. */
  int[][] map() {
    return Arrays.stream(map).map(int[]::clone).toArray(int[][]::new);
  }

  int part(int layer, int expert) {
    return map[layer][expert];
  }

  /**
   * What each expert of a layer would pay on each part towards the layers before and after it,
   * which stay as they are.
   *
   * @param costs {@code [i * parts + part]} receives the costs
   * @param withNext whether the layer after it counts
   */
  void layerCosts(int layer, long[] costs, boolean withNext) {
    int parts = chain.parts().gpus();
    int size = chain.size(layer);
    long[] near = new long[size * parts]; // weight towards each part
    if (layer > 0) {
      for (int from = 0; from < chain.size(layer - 1); from++) {
        int part = map[layer - 1][from];
        for (int i = 0; i < size; i++) {
          near[i * parts + part] += chain.weight(layer - 1, from, i);
        }
      }
    }

    if (withNext && layer < chain.layers() - 1) {
      for (int i = 0; i < size; i++) {
        for (int to = 0; to < chain.size(layer + 1); to++) {
          near[i * parts + map[layer + 1][to]] += chain.weight(layer, i, to);
        }
      }
    }

    Topology topology = chain.parts();
    if (topology.hasCostMatrix()) {
      pairwise(near, costs);
      return;
    }

    // hop cost = near * [other GPU] + (far - near) * [other node]
    long gpu = topology.costInNode();
    long across = topology.costAcrossNodes() - gpu;
    for (int i = 0; i < size; i++) {
      long all = 0;
      for (int part = 0; part < parts; part++) {
        all += near[i * parts + part];
      }

      for (int node = 0; node < topology.nodes(); node++) {
        long inside = 0;
        for (int part = topology.firstGpu(node); part < topology.firstGpu(node + 1); part++) {
          inside += near[i * parts + part];
        }

        for (int part = topology.firstGpu(node); part < topology.firstGpu(node + 1); part++) {
          costs[i * parts + part] = gpu * (all - near[i * parts + part]) + across * (all - inside);
        }
      }
    }
  }

  private void pairwise(long[] near, long[] costs) {
    int parts = chain.parts().gpus();
    for (int at = 0; at < costs.length; at++) {
      costs[at] = 0;
      int row = at - at % parts;
      for (int there = 0; there < parts; there++) {
        costs[at] += near[row + there] * chain.parts().hopCost(at % parts, there);
      }
    }
  }

  /** How the cost would change if two experts of a layer changed places. */
  long swapDelta(int layer, int one, int other) {
    int partOfOne = map[layer][one];
    int partOfOther = map[layer][other];
    return moveDelta(layer, one, partOfOther) + moveDelta(layer, other, partOfOne);
  }

  private long moveDelta(int layer, int expert, int part) {
    int now = map[layer][expert];
    long delta = 0;
    if (layer > 0) {
      for (int from = 0; from < chain.size(layer - 1); from++) {
        int there = map[layer - 1][from];
        delta +=
            chain.weight(layer - 1, from, expert)
                * (chain.parts().hopCost(there, part) - chain.parts().hopCost(there, now));
      }
    }

    if (layer < chain.layers() - 1) {
      for (int to = 0; to < chain.size(layer + 1); to++) {
        int there = map[layer + 1][to];
        delta +=
            chain.weight(layer, expert, to)
                * (chain.parts().hopCost(part, there) - chain.parts().hopCost(now, there));
      }
    }

    return delta;
  }

  /** Lets two experts of a layer change places. */
  void swap(int layer, int one, int other) {
    cost += swapDelta(layer, one, other);
    int kept = map[layer][one];
    map[layer][one] = map[layer][other];
    map[layer][other] = kept;
    check("swap of experts %d and %d of layer %d".formatted(one, other, layer));
  }

  /**
   * Puts the experts of a layer elsewhere.
   *
   * @param parts {@code [i]}
   * @param delta the change of the cost, known to the caller
   */
  void assign(int layer, int[] parts, long delta) {
    map[layer] = parts.clone();
    cost += delta;
    check("assignment of layer " + layer);
  }

  private void check(String change) {
    if (asserting) {
      long scratch = chain.cost(map);
      if (scratch != cost) {
        throw new IllegalStateException(
            "Corrupt cost after %s: %d kept, %d from scratch".formatted(change, cost, scratch));
      }
    }
  }
}
