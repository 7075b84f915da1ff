package io.expertatlas.placement;

/**
 * The cluster: nodes of equally many GPUs. GPU {@code g} is in node {@code g / gpusPerNode}.
 *
 * @param nodes number of nodes
 * @param gpusPerNode GPUs in each node
 */
public record Topology(int nodes, int gpusPerNode) {
  /**
   * Checks the cluster.
   *
   * @throws IllegalArgumentException if a number is not positive or there are over 65,536 GPUs
   */
  public Topology {
    if (nodes < 1 || gpusPerNode < 1 || (long) nodes * gpusPerNode > 1 << 16) {
      throw new IllegalArgumentException(
          "Invalid topology: %d nodes x %d GPUs, each at least 1 and at most 65536 in all"
              .formatted(nodes, gpusPerNode));
    }
  }

  /** GPUs of the whole cluster. */
  public int gpus() {
    return nodes * gpusPerNode;
  }

  /** The node of a GPU. */
  public int node(int gpu) {
    return gpu / gpusPerNode;
  }

  /** What a hop between two GPUs costs: 0 on the same GPU, 1 in the same node, 2 across nodes. */
  public int hopCost(int from, int to) {
    if (from == to) {
      return 0;
    }

    return node(from) == node(to) ? 1 : 2;
  }

  @Override
  public String toString() {
    return nodes + "x" + gpusPerNode;
  }
}
