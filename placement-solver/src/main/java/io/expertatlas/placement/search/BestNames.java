package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;

/**
 * The best way to name the parts of one layer when those of the layer before it are named: parts of
 * a node may change names, and so may nodes. Keeps its work arrays; not safe for several threads.
 */
final class BestNames {
  private final int nodes;
  private final int perNode;
  private final long near; // saved by staying on a part
  private final long far; // saved by staying in a node
  private final Assignment inNode;
  private final Assignment ofNodes;
  private final long[] block; // [place][place] of one pair of nodes
  private final int[] placeOf; // [place]
  private final long[] nodeCosts; // [node][node]
  private final int[] nodeOf; // [node]

  BestNames(Topology parts) {
    this.nodes = parts.nodes();
    this.perNode = parts.gpusPerNode();
    this.near = parts.costInNode();
    this.far = parts.costAcrossNodes() - near;
    this.inNode = new Assignment(perNode);
    this.ofNodes = new Assignment(nodes);
    this.block = new long[perNode * perNode];
    this.placeOf = new int[perNode];
    this.nodeCosts = new long[nodes * nodes];
    this.nodeOf = new int[nodes];
  }

  /**
   * The largest saving: the weight that stays on its part times what a hop in a node costs plus, on
   * several nodes, the weight that stays in its node times what a hop across costs more.
   *
   * @param stays {@code [part before * parts + part now]} weight between two parts
   */
  long best(long[] stays) {
    if (nodes == 1) {
      return -inNode(stays, 0, 0);
    }

    for (int before = 0; before < nodes; before++) {
      for (int now = 0; now < nodes; now++) {
        nodeCosts[before * nodes + now] = inNode(stays, before, now);
      }
    }

    return -minimize(ofNodes, nodes, nodeCosts, nodeOf);
  }

  /**
   * The names that reach {@link #best}.
   *
   * @param nameOf {@code [part now]} receives the part before that has the same name
   */
  void names(long[] stays, int[] nameOf) {
    best(stays);
    nodeOf[0] = nodes == 1 ? 0 : nodeOf[0];
    for (int before = 0; before < nodes; before++) {
      int now = nodeOf[before];
      inNode(stays, before, now);
      for (int place = 0; place < perNode; place++) {
        nameOf[now * perNode + placeOf[place]] = before * perNode + place;
      }
    }
  }

  /** Minus the largest total of stays between two nodes. */
  private long inNode(long[] stays, int before, int now) {
    long inside = 0;
    int parts = nodes * perNode;
    for (int i = 0; i < perNode; i++) {
      for (int j = 0; j < perNode; j++) {
        long weight = stays[(before * perNode + i) * parts + now * perNode + j];
        block[i * perNode + j] = -weight * near;
        inside += weight;
      }
    }

    return minimize(inNode, perNode, block, placeOf) - (nodes == 1 ? 0 : inside * far);
  }

  private static long minimize(Assignment assignment, int n, long[] costs, int[] columnOf) {
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

    return assignment.minimize(costs, columnOf);
  }
}
