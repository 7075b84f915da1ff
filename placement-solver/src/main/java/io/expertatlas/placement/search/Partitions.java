package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * All ways to put the experts of one layer on parts, up to the names of parts in a node and of
 * nodes: parts and nodes are named in the order of their first expert.
 */
final class Partitions {
  private final Topology parts;
  private final int size;
  private final int least;
  private final int most;
  private final int limit;
  private final List<short[]> found = new ArrayList<>();
  private final short[] map; // [i]
  private final int[] held; // [part]

  private Partitions(Topology parts, int size, int least, int most, int limit) {
    this.parts = parts;
    this.size = size;
    this.least = least;
    this.most = most;
    this.limit = limit;
    this.map = new short[size];
    this.held = new int[parts.gpus()];
  }

  /**
   * The partitions of a layer of a symmetric chain, {@code [state][i]}.
   *
   * @param limit most partitions to list
   * @return empty if there are more
   */
  static Optional<List<short[]>> of(Chain chain, int layer, int limit) {
    Partitions partitions =
        new Partitions(
            chain.parts(), chain.size(layer), chain.least(layer, 0), chain.most(layer, 0), limit);
    return partitions.place(0) ? Optional.of(partitions.found) : Optional.empty();
  }

  private boolean place(int expert) {
    if (expert == size) {
      found.add(map.clone());
      return found.size() <= limit;
    }

    int perNode = parts.gpusPerNode();
    boolean goesOn = true;
    for (int node = 0; goesOn && node < parts.nodes(); node++) {
      for (int part = node * perNode; goesOn && part < (node + 1) * perNode; part++) {
        boolean isNew = held[part] == 0;
        if (held[part] < most && leavesEnough(part, size - expert - 1)) {
          map[expert] = (short) part;
          held[part]++;
          goesOn = place(expert + 1);
          held[part]--;
        }

        if (isNew) {
          break; // a later part of the node would be the same under another name
        }
      }

      if (held[node * perNode] == 0) {
        break; // so would a later node
      }
    }

    return goesOn;
  }

  private boolean leavesEnough(int part, int left) {
    int missing = 0;
    for (int h : held) {
      missing += Math.max(0, least - h);
    }

    return missing - (held[part] < least ? 1 : 0) <= left;
  }
}
