package io.expertatlas.placement;

import java.util.Arrays;
import java.util.stream.Collectors;

/**
 * The cluster: nodes of GPUs, what a hop between two GPUs costs, and how many experts of a layer a
 * GPU has room for. Immutable.
 *
 * <p>GPUs are numbered node by node. The usual cluster has equal nodes, hops of cost 1 inside a
 * node and 2 across, and no word on slots: {@link #Topology(int, int)}. The {@code with} methods
 * make other ones.
 */
public final class Topology {
  /** Most GPUs of a cluster. */
  public static final int MAX_GPUS = 1 << 16;

  /** The highest cost of a hop: sums over any trace stay exact. */
  public static final int MAX_HOP_COST = 1_000_000;

  private static final int MAX_MATRIX = 1 << 12; // GPUs of a cluster with a matrix of costs

  private final int[] firstGpu; // [node], then the number of GPUs
  private final int perNode; // GPUs of each node, 0 if they differ
  private final int near; // cost of a hop inside a node
  private final int far; // cost of a hop across nodes
  private final int[] hopCosts; // [from * gpus + to], empty: near and far hold
  private final int[] slots; // [gpu], empty: not said

  /**
   * A cluster of equal nodes; GPU {@code g} is in node {@code g / gpusPerNode}. Hops cost 1 inside
   * a node and 2 across.
   *
   * @throws IllegalArgumentException if a number is not positive or there are over 65,536 GPUs
   */
  public Topology(int nodes, int gpusPerNode) {
    this(firstGpus(nodes, gpusPerNode), 1, 2, new int[0], new int[0]);
  }

  private Topology(int[] firstGpu, int near, int far, int[] hopCosts, int[] slots) {
    this.firstGpu = firstGpu;
    this.near = near;
    this.far = far;
    this.hopCosts = hopCosts;
    this.slots = slots;
    int each = firstGpu[1];
    for (int node = 0; node < nodes(); node++) {
      each = gpusOf(node) == each ? each : 0;
    }

    this.perNode = each;
  }

  private static int[] firstGpus(int nodes, int gpusPerNode) {
    if (nodes < 1 || gpusPerNode < 1 || (long) nodes * gpusPerNode > MAX_GPUS) {
      throw new IllegalArgumentException(
          "Invalid topology: %d nodes x %d GPUs, each at least 1 and at most %d in all"
              .formatted(nodes, gpusPerNode, MAX_GPUS));
    }

    int[] first = new int[nodes + 1];
    Arrays.setAll(first, node -> node * gpusPerNode);
    return first;
  }

  /**
   * A cluster of nodes of any size, with the usual costs of hops.
   *
   * @param gpus {@code [node]} GPUs of each node
   * @throws IllegalArgumentException if there is no node, one is empty, or there are over 65,536
   *     GPUs
   */
  public static Topology ofNodes(int... gpus) {
    long all = Arrays.stream(gpus).asLongStream().sum();
    if (gpus.length == 0 || Arrays.stream(gpus).anyMatch(g -> g < 1) || all > MAX_GPUS) {
      throw new IllegalArgumentException(
          "Invalid topology: nodes of %s GPUs, each at least 1 and at most %d in all"
              .formatted(Arrays.toString(gpus), MAX_GPUS));
    }

    int[] first = new int[gpus.length + 1];
    for (int node = 0; node < gpus.length; node++) {
      first[node + 1] = first[node] + gpus[node];
    }

    return new Topology(first, 1, 2, new int[0], new int[0]);
  }

  /**
   * The same with other costs of hops.
   *
   * @param inNode between two GPUs of a node
   * @param acrossNodes between GPUs of different nodes, not less
   * @throws IllegalArgumentException if a cost is not from 1 to {@link #MAX_HOP_COST}, or that
   *     inside a node is the higher one
   */
  public Topology withHopCosts(int inNode, int acrossNodes) {
    if (inNode < 1 || acrossNodes < inNode || acrossNodes > MAX_HOP_COST) {
      throw new IllegalArgumentException(
          "Invalid hop costs: %d in a node and %d across, each 1 to %d and the second not less"
              .formatted(inNode, acrossNodes, MAX_HOP_COST));
    }

    return new Topology(firstGpu, inNode, acrossNodes, new int[0], slots);
  }

  /**
   * The same with a cost for each pair of GPUs.
   *
   * @param costs {@code [from][to]}, symmetric, 0 on the diagonal
   * @throws IllegalArgumentException if it is none, or a cost is not from 1 to {@link
   *     #MAX_HOP_COST}
   */
  public Topology withHopCosts(int[][] costs) {
    int gpus = gpus();
    if (gpus > MAX_MATRIX) {
      throw new IllegalArgumentException(
          "Invalid hop costs: a matrix for %d GPUs, at most %d".formatted(gpus, MAX_MATRIX));
    }

    if (costs.length != gpus) {
      throw new IllegalArgumentException(
          "Invalid hop costs: %d rows, the topology %s has %d GPUs"
              .formatted(costs.length, this, gpus));
    }

    int[] flat = new int[gpus * gpus];
    for (int from = 0; from < gpus; from++) {
      if (costs[from].length != gpus) {
        throw new IllegalArgumentException(
            "Invalid hop costs: %d in row %d, the topology %s has %d GPUs"
                .formatted(costs[from].length, from, this, gpus));
      }

      for (int to = 0; to < gpus; to++) {
        int cost = costs[from][to];
        if (from == to ? cost != 0 : cost < 1 || cost > MAX_HOP_COST) {
          throw new IllegalArgumentException(
              "Invalid hop cost from GPU %d to %d: %d, %s"
                  .formatted(from, to, cost, from == to ? "must be 0" : "1 to " + MAX_HOP_COST));
        }

        if (to < from && cost != costs[to][from]) {
          throw new IllegalArgumentException(
              "Invalid hop costs: %d from GPU %d to %d, but %d back; they must be equal"
                  .formatted(cost, from, to, costs[to][from]));
        }

        flat[from * gpus + to] = cost;
      }
    }

    return new Topology(firstGpu, near, far, flat, slots);
  }

  /**
   * The same with a number of slots for each GPU.
   *
   * @param experts {@code [gpu]} most experts of each layer that the GPU has room for
   * @throws IllegalArgumentException if there are not as many numbers as GPUs, or one is negative
   */
  public Topology withSlots(int... experts) {
    if (experts.length != gpus()) {
      throw new IllegalArgumentException(
          "Invalid slots: %d numbers, the topology %s has %d GPUs"
              .formatted(experts.length, this, gpus()));
    }

    for (int gpu = 0; gpu < experts.length; gpu++) {
      if (experts[gpu] < 0) {
        throw new IllegalArgumentException(
            "Invalid slots of GPU %d: %d, at least 0".formatted(gpu, experts[gpu]));
      }
    }

    return new Topology(firstGpu, near, far, hopCosts, experts.clone());
  }

  /** Number of nodes. */
  public int nodes() {
    return firstGpu.length - 1;
  }

  /** GPUs of the whole cluster. */
  public int gpus() {
    return firstGpu[nodes()];
  }

  /** Whether all nodes have equally many GPUs. */
  public boolean hasEqualNodes() {
    return perNode > 0;
  }

  /**
   * GPUs in each node.
   *
   * @throws IllegalStateException if the nodes differ
   */
  public int gpusPerNode() {
    if (perNode == 0) {
      throw new IllegalStateException("The nodes of %s are not equal".formatted(this));
    }

    return perNode;
  }

  /** Whether another cluster has the same nodes with as many GPUs, whatever hops cost there. */
  public boolean hasNodesOf(Topology other) {
    return Arrays.equals(firstGpu, other.firstGpu);
  }

  /** GPUs of a node. */
  public int gpusOf(int node) {
    return firstGpu[node + 1] - firstGpu[node];
  }

  /** The first GPU of a node, or the number of GPUs for the node after the last. */
  public int firstGpu(int node) {
    return firstGpu[node];
  }

  /** The node of a GPU. */
  public int node(int gpu) {
    if (perNode > 0) {
      return gpu / perNode;
    }

    int found = Arrays.binarySearch(firstGpu, gpu);
    return found >= 0 ? found : -found - 2;
  }

  /** What a hop between two GPUs costs: 0 on the same GPU; usually 1 in a node, 2 across nodes. */
  public int hopCost(int from, int to) {
    if (from == to) {
      return 0;
    }

    if (hopCosts.length > 0) {
      return hopCosts[from * gpus() + to];
    }

    return node(from) == node(to) ? near : far;
  }

  /** Whether each pair of GPUs has a cost of its own, instead of one in nodes and one across. */
  public boolean hasCostMatrix() {
    return hopCosts.length > 0;
  }

  /** Cost of a hop inside a node, if there is no {@linkplain #hasCostMatrix() matrix}. */
  public int costInNode() {
    return near;
  }

  /** Cost of a hop across nodes, if there is no {@linkplain #hasCostMatrix() matrix}. */
  public int costAcrossNodes() {
    return far;
  }

  /** The highest of the costs of hops; on one node that inside it. */
  public int highestCost() {
    if (hopCosts.length > 0) {
      return Arrays.stream(hopCosts).max().getAsInt();
    }

    return nodes() > 1 ? far : near;
  }

  /** The lowest cost of a hop, inside a node or across. */
  public int lowestCost() {
    return hopCosts.length == 0
        ? near
        : Arrays.stream(hopCosts).filter(cost -> cost > 0).min().orElse(0);
  }

  /** The lowest cost of a hop across nodes, never below {@link #lowestCost()}. */
  public int lowestCostAcross() {
    if (hopCosts.length == 0) {
      return far;
    }

    int lowest = MAX_HOP_COST;
    for (int from = 0; from < gpus(); from++) {
      for (int to = firstGpu(node(from) + 1); to < gpus(); to++) {
        lowest = Math.min(lowest, hopCost(from, to));
      }
    }

    return lowest;
  }

  /** Whether hops cost 1 inside a node and 2 across. */
  public boolean hasUsualCosts() {
    return hopCosts.length == 0 && near == 1 && far == 2;
  }

  /**
   * Whether GPUs of a node may change names, and nodes too, without changing the cost of any map.
   */
  public boolean isSymmetric() {
    return perNode > 0 && hopCosts.length == 0;
  }

  /** Whether it is said how many experts GPUs have room for. */
  public boolean hasSlots() {
    return slots.length > 0;
  }

  /**
   * Most experts of each layer that a GPU has room for.
   *
   * @throws IllegalStateException if it is not said
   */
  public int slots(int gpu) {
    if (slots.length == 0) {
      throw new IllegalStateException("The slots of %s are not said".formatted(this));
    }

    return slots[gpu];
  }

  /** The same GPUs without nodes: every hop costs 1. */
  public Topology flat() {
    return new Topology(firstGpus(1, gpus()), 1, 2, new int[0], slots);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Topology that
        && near == that.near
        && far == that.far
        && Arrays.equals(firstGpu, that.firstGpu)
        && Arrays.equals(hopCosts, that.hopCosts)
        && Arrays.equals(slots, that.slots);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(
        new int[] {
          Arrays.hashCode(firstGpu), near, far, Arrays.hashCode(hopCosts), Arrays.hashCode(slots)
        });
  }

  /** {@code 2x4}, or {@code 4+2} if the nodes differ. */
  @Override
  public String toString() {
    if (perNode > 0) {
      return nodes() + "x" + perNode;
    }

    return Arrays.stream(firstGpu, 0, nodes())
        .mapToObj(first -> Integer.toString(gpusOf(node(first))))
        .collect(Collectors.joining("+"));
  }
}
