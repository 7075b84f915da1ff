package io.expertatlas.placement.search;

import java.util.Arrays;
import java.util.Objects;
import java.util.stream.IntStream;

/**
 * The greedy of DeepSeek's expert-parallel load balancer (deepseek-ai/EPLB, 2025-03-24): experts,
 * hot ones with copies, on slots of GPUs, for equal load. It looks at the load alone and knows
 * nothing of tokens.
 *
 * <p>Three steps, each layer on its own. Groups of experts are packed on nodes; in each node, the
 * slots that are left over go one by one to the expert with the most load per copy; the copies are
 * packed on the GPUs of the node. A packing takes the heaviest item first, each to the pack with
 * the least load that has room; all packs hold equally many. If the nodes do not divide the groups,
 * the first step is left out and the cluster is one node.
 *
 * <p>Loads are {@code float}, as there: totals above 2^24 are rounded. Among equals the lowest
 * number comes first.
 */
public final class Eplb {
  private final int slots;
  private final int groups;
  private final int nodes;
  private final int gpus;

  /**
   * A balancer for a cluster.
   *
   * @param slots expert slots of each layer, in all
   * @param groups groups of experts that the router picks from; 1 if it has none
   * @param nodes nodes of the cluster
   * @param gpus GPUs of the cluster
   * @throws IllegalArgumentException if a number is not positive, or the GPUs do not divide the
   *     slots, or the nodes the GPUs
   */
  public Eplb(int slots, int groups, int nodes, int gpus) {
    if (slots < 1 || groups < 1 || nodes < 1 || gpus < 1) {
      throw new IllegalArgumentException(
          "Invalid balancer: %d slots, %d groups, %d nodes, %d GPUs, each at least 1"
              .formatted(slots, groups, nodes, gpus));
    }

    if (slots % gpus != 0 || gpus % nodes != 0) {
      throw new IllegalArgumentException(
          "Invalid balancer: %d slots on %d GPUs of %d nodes, expected the same number on each"
              .formatted(slots, gpus, nodes));
    }

    this.slots = slots;
    this.groups = groups;
    this.nodes = nodes;
    this.gpus = gpus;
  }

  /** Whether groups are packed on nodes first: if the nodes divide the groups. */
  public boolean isHierarchical() {
    return groups % nodes == 0;
  }

  /**
   * The expert of each slot of a layer. GPU {@code g} has the slots {@code g * slots/gpus} on.
   *
   * @param load {@code [expert]}, not negative
   * @return {@code [slot]}
   * @throws IllegalArgumentException if there are more experts than slots or a load is negative, or
   *     the groups do not divide the experts
   */
  public int[] physicalToLogical(long[] load) {
    Objects.requireNonNull(load, "load is null");
    if (load.length == 0 || load.length > slots || Arrays.stream(load).anyMatch(l -> l < 0)) {
      throw new IllegalArgumentException(
          "Invalid loads: %d experts, 1 to %d, none with a negative load"
              .formatted(load.length, slots));
    }

    if (isHierarchical() && load.length % groups != 0) {
      throw new IllegalArgumentException(
          "Invalid loads: %d experts, expected a multiple of %d groups"
              .formatted(load.length, groups));
    }

    int usedGroups = isHierarchical() ? groups : 1;
    int usedNodes = isHierarchical() ? nodes : 1;
    int[] byNode = expertsByNode(load, usedGroups, usedNodes);
    int expertsPerNode = load.length / usedNodes;
    int slotsPerNode = slots / usedNodes;
    int[] expertOf = new int[slots];
    for (int node = 0; node < usedNodes; node++) {
      int[] experts =
          Arrays.copyOfRange(byNode, node * expertsPerNode, (node + 1) * expertsPerNode);
      float[] loads = new float[experts.length];
      for (int i = 0; i < loads.length; i++) {
        loads[i] = load[experts[i]];
      }

      int[] copies = replicated(loads, slotsPerNode);
      int[] slotOf = packed(loadPerCopy(loads, copies), gpus / usedNodes);
      for (int copy = 0; copy < copies.length; copy++) {
        expertOf[node * slotsPerNode + slotOf[copy]] = experts[copies[copy]];
      }
    }

    return expertOf;
  }

  /**
   * {@link #physicalToLogical(long[])} of every layer.
   *
   * @param load {@code [layer][expert]}
   * @return {@code [layer][slot]}
   */
  public int[][] physicalToLogical(long[][] load) {
    return Arrays.stream(load).map(this::physicalToLogical).toArray(int[][]::new);
  }

  /** All experts, those of node 0 first, group by group. */
  private static int[] expertsByNode(long[] load, int groups, int nodes) {
    int size = load.length / groups;
    float[] groupLoad = new float[groups];
    for (int expert = 0; expert < load.length; expert++) {
      groupLoad[expert / size] += load[expert];
    }

    int[] placeOf = packed(groupLoad, nodes);
    int[] experts = new int[load.length];
    for (int group = 0; group < groups; group++) {
      for (int i = 0; i < size; i++) {
        experts[placeOf[group] * size + i] = group * size + i;
      }
    }

    return experts;
  }

  /** The expert of each copy: first every expert once, then the copies in the order of need. */
  private static int[] replicated(float[] load, int copies) {
    int[] expertOf = new int[copies];
    int[] count = new int[load.length];
    Arrays.fill(count, 1);
    for (int copy = 0; copy < copies; copy++) {
      if (copy < load.length) {
        expertOf[copy] = copy;
        continue;
      }

      int neediest = 0;
      for (int expert = 1; expert < load.length; expert++) {
        if (load[expert] / count[expert] > load[neediest] / count[neediest]) {
          neediest = expert;
        }
      }

      expertOf[copy] = neediest;
      count[neediest]++;
    }

    return expertOf;
  }

  private static float[] loadPerCopy(float[] load, int[] expertOf) {
    int[] count = new int[load.length];
    for (int expert : expertOf) {
      count[expert]++;
    }

    float[] perCopy = new float[expertOf.length];
    for (int copy = 0; copy < perCopy.length; copy++) {
      perCopy[copy] = load[expertOf[copy]] / count[expertOf[copy]];
    }

    return perCopy;
  }

  /**
   * The place of each item: {@code pack * items/packs + rank in the pack}. With one item for each
   * pack, every item stays where it is.
   */
  private static int[] packed(float[] weight, int packs) {
    int room = weight.length / packs;
    int[] placeOf = new int[weight.length];
    if (room == 1) {
      Arrays.setAll(placeOf, item -> item);
      return placeOf;
    }

    int[] heaviestFirst =
        IntStream.range(0, weight.length)
            .boxed()
            .sorted((a, b) -> Float.compare(weight[b], weight[a]))
            .mapToInt(Integer::intValue)
            .toArray();
    float[] load = new float[packs];
    int[] held = new int[packs];
    for (int item : heaviestFirst) {
      int best = -1;
      for (int pack = 0; pack < packs; pack++) {
        if (held[pack] < room && (best < 0 || load[pack] < load[best])) {
          best = pack;
        }
      }

      placeOf[item] = best * room + held[best]++;
      load[best] += weight[item];
    }

    return placeOf;
  }
}
