package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;

/**
 * The best way to name the parts of one layer when those of the layer before it are named: parts of
 * a node may change names, and so may nodes with as many parts, if they are of the same {@linkplain
 * Chain#kind kind}. Keeps its work arrays; not safe for several threads.
 */
final class BestNames {
  /** More than any total of weights; a few hundred of these do not overflow. */
  private static final long FORBIDDEN = 1L << 53;

  private final Topology topology;
  private final int nodes;
  private final int parts;
  private final long near; // saved by staying on a part
  private final long far; // saved by staying in a node
  private final Assignment[] ofSize; // [n], made when needed
  private final long[] block; // [place][place] of one pair of nodes
  private final int[] placeOf; // [place]
  private final long[] nodeCosts; // [node][node]
  private final int[] nodeOf; // [node]
  private final int[] kind; // [part]; null if all are equal
  private final long[] saved; // [part * parts + part], with a matrix of costs; else empty

  BestNames(Chain chain) {
    this.topology = chain.parts();
    this.nodes = topology.nodes();
    this.parts = topology.gpus();
    this.near = topology.costInNode();
    this.far = topology.costAcrossNodes() - near;
    int largest = nodes;
    for (int node = 0; node < nodes; node++) {
      largest = Math.max(largest, topology.gpusOf(node));
    }

    this.ofSize = new Assignment[largest + 1];
    this.block = new long[largest * largest];
    this.placeOf = new int[largest];
    this.nodeCosts = new long[nodes * nodes];
    this.nodeOf = new int[nodes];
    this.kind = chain.isSymmetric() ? null : kinds(chain);
    this.saved = new long[topology.hasCostMatrix() ? parts * parts : 0];
    long highest = topology.highestCost();
    Arrays.setAll(saved, at -> highest - topology.hopCost(at / parts, at % parts));
  }

  private static int[] kinds(Chain chain) {
    int[] kinds = new int[chain.parts().gpus()];
    Arrays.setAll(kinds, chain::kind);
    return kinds;
  }

  /**
   * The largest saving over the highest cost for all pairs: the weight that stays on its part times
   * what a hop in a node costs plus, on several nodes, the weight that stays in its node times what
   * a hop across costs more. With a matrix of costs no part has another's name.
   *
   * @param stays {@code [part before * parts + part now]} weight between two parts
   */
  long best(long[] stays) {
    if (saved.length > 0) {
      long sum = 0;
      for (int at = 0; at < saved.length; at++) {
        sum += stays[at] * saved[at];
      }

      return sum;
    }

    if (nodes == 1) {
      return -inNode(stays, 0, 0);
    }

    for (int before = 0; before < nodes; before++) {
      for (int now = 0; now < nodes; now++) {
        nodeCosts[before * nodes + now] =
            topology.gpusOf(before) == topology.gpusOf(now)
                ? inNode(stays, before, now)
                : FORBIDDEN;
      }
    }

    return -minimize(nodes, nodeCosts, nodeOf);
  }

  /**
   * The names that reach {@link #best}.
   *
   * @param nameOf {@code [part now]} receives the part before that has the same name
   */
  void names(long[] stays, int[] nameOf) {
    if (saved.length > 0) {
      Arrays.setAll(nameOf, part -> part);
      return;
    }

    best(stays);
    nodeOf[0] = nodes == 1 ? 0 : nodeOf[0];
    for (int before = 0; before < nodes; before++) {
      int now = nodeOf[before];
      inNode(stays, before, now);
      for (int place = 0; place < topology.gpusOf(before); place++) {
        nameOf[topology.firstGpu(now) + placeOf[place]] = topology.firstGpu(before) + place;
      }
    }
  }

  /** Minus the largest saving between two nodes of as many parts. */
  private long inNode(long[] stays, int before, int now) {
    long inside = 0;
    int size = topology.gpusOf(before);
    for (int i = 0; i < size; i++) {
      int from = topology.firstGpu(before) + i;
      for (int j = 0; j < size; j++) {
        int to = topology.firstGpu(now) + j;
        long weight = stays[from * parts + to];
        boolean differ = kind != null && kind[from] != kind[to];
        block[i * size + j] = differ ? FORBIDDEN : -weight * near;
        inside += weight;
      }
    }

    return minimize(size, block, placeOf) - (nodes == 1 ? 0 : inside * far);
  }

  private long minimize(int n, long[] costs, int[] columnOf) {
    if (n == 1) {
      columnOf[0] = 0;
      return costs[0];
    }

    if (n == 2) {
      long straight = costs[0] + costs[3];
      long crossed = costs[1] + costs[2];
      columnOf[0] = straight <= crossed ? 0 : 1;
      columnOf[1] = 1 - columnOf[0];
      return Math.min(straight, crossed);
    }

    if (ofSize[n] == null) {
      ofSize[n] = new Assignment(n);
    }

    return ofSize[n].minimize(costs, columnOf);
  }
}
