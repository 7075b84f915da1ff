package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * All ways to put the experts of one layer on parts within its bounds and its cap, up to the names
 * of parts of a kind in a node and of nodes with the same kinds: these are named in the order of
 * their first expert.
 */
final class Partitions {
  /** Under a tight cap most ways end early: so many steps a partition are looked at, no more. */
  private static final long STEPS = 200;

  private final Chain chain;
  private final Topology parts;
  private final int layer;
  private final int size;
  private final int limit;
  private final int[] twin; // [part], the part before it in its node of the same kind, or -1
  private final int[] twinNode; // [node], the node before it with the same kinds, or -1
  private final List<short[]> found = new ArrayList<>();
  private final short[] map; // [i]
  private final int[] held; // [part]
  private final int[] heldByNode; // [node]
  private final long[] load; // [part]
  private long stepsLeft;

  private Partitions(Chain chain, int layer, int limit) {
    this.chain = chain;
    this.parts = chain.parts();
    this.layer = layer;
    this.size = chain.size(layer);
    this.limit = limit;
    this.stepsLeft = STEPS * limit;
    this.map = new short[size];
    this.held = new int[parts.gpus()];
    this.heldByNode = new int[parts.nodes()];
    this.load = new long[parts.gpus()];
    this.twin = new int[parts.gpus()];
    this.twinNode = new int[parts.nodes()];
    int[][] kinds = new int[parts.nodes()][];
    for (int node = 0; node < kinds.length; node++) {
      int first = parts.firstGpu(node);
      kinds[node] = new int[parts.gpusOf(node)];
      for (int part = first; part < parts.firstGpu(node + 1); part++) {
        kinds[node][part - first] = chain.kind(part);
        twin[part] = -1;
        for (int before = first; before < part; before++) {
          twin[part] = chain.kind(before) == chain.kind(part) ? before : twin[part];
        }
      }
    }

    for (int node = 0; node < parts.nodes(); node++) {
      Arrays.sort(kinds[node]);
      twinNode[node] = -1;
      for (int before = 0; before < node; before++) {
        twinNode[node] = Arrays.equals(kinds[before], kinds[node]) ? before : twinNode[node];
      }
    }
  }

  /**
   * The partitions of a layer, {@code [state][i]}.
   *
   * @param limit most partitions to list
   * @return empty if there are more, or if too few of the ways tried are within the cap
   */
  static Optional<List<short[]>> of(Chain chain, int layer, int limit) {
    Partitions partitions = new Partitions(chain, layer, limit);
    return partitions.place(0) ? Optional.of(partitions.found) : Optional.empty();
  }

  private boolean place(int expert) {
    if (expert == size) {
      found.add(map.clone());
      return found.size() <= limit;
    }

    boolean goesOn = --stepsLeft > 0;
    long weight = chain.load(layer, expert);
    for (int part = 0; goesOn && part < held.length; part++) {
      if (isFirstOfItsLike(part)
          && held[part] < chain.most(layer, part)
          && load[part] <= chain.cap(layer) - weight
          && leavesEnough(part, size - expert - 1)) {
        int node = parts.node(part);
        map[expert] = (short) part;
        held[part]++;
        heldByNode[node]++;
        load[part] += weight;
        goesOn = place(expert + 1);
        held[part]--;
        heldByNode[node]--;
        load[part] -= weight;
      }
    }

    return goesOn;
  }

  /** Whether no earlier part, or node, is the same under another name. */
  private boolean isFirstOfItsLike(int part) {
    int node = parts.node(part);
    boolean newNode = heldByNode[node] == 0;
    boolean newPart = held[part] == 0;
    return !(newPart && twin[part] >= 0 && held[twin[part]] == 0)
        && !(newNode && twinNode[node] >= 0 && heldByNode[twinNode[node]] == 0);
  }

  private boolean leavesEnough(int part, int left) {
    int missing = 0;
    for (int other = 0; other < held.length; other++) {
      missing += Math.max(0, chain.least(layer, other) - held[other]);
    }

    return missing - (held[part] < chain.least(layer, part) ? 1 : 0) <= left;
  }
}
