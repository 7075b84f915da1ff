package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * The partitions of each layer that good maps were seen to use, and their best combination: the
 * shortest path through the layers over just these partitions, parts renamed freely from layer to
 * layer (see {@link Viterbi}). It is at least as good as every map that was added. What a pair of
 * partitions saves is computed once. Partitions above the cap on load are left out. Not safe for
 * several threads.
 */
final class LayerPool {
  private final Chain chain;
  private final int parts;
  private final BestNames names;
  private final long[] stays; // [part before][part now], scratch
  private final List<List<int[]>> partitions = new ArrayList<>(); // [layer]
  private final List<Set<Long>> seen = new ArrayList<>(); // [layer] fingerprints
  private final List<List<Long>> own = new ArrayList<>(); // [layer], cost by itself
  private final List<List<long[]>> saving = new ArrayList<>(); // [gap][now][before]

  LayerPool(Chain chain) {
    this.chain = chain;
    this.parts = chain.parts().gpus();
    this.names = new BestNames(chain);
    this.stays = new long[parts * parts];
    for (int layer = 0; layer < chain.layers(); layer++) {
      partitions.add(new ArrayList<>());
      seen.add(new HashSet<>());
      own.add(new ArrayList<>());
      saving.add(new ArrayList<>());
    }
  }

  /** The most partitions of any layer. */
  int size() {
    return partitions.stream().mapToInt(List::size).max().orElse(0);
  }

  /** Forgets everything. */
  void clear() {
    partitions.forEach(List::clear);
    seen.forEach(Set::clear);
    own.forEach(List::clear);
    saving.forEach(List::clear);
  }

  /** Adds the partitions of a map that are new and within the caps. */
  void add(int[][] map) {
    for (int layer = 0; layer < map.length; layer++) {
      boolean fits =
          chain.cap(layer) == Long.MAX_VALUE
              || chain.hottest(layer, map[layer]) <= chain.cap(layer);
      if (fits && seen.get(layer).add(fingerprint(map[layer]))) {
        partitions.get(layer).add(map[layer].clone());
        own.get(layer).add(chain.layerCost(layer, map[layer]));
      }
    }
  }

  /** The first layer without any partition, if there is one. */
  OptionalInt emptyLayer() {
    return IntStream.range(0, chain.layers())
        .filter(layer -> partitions.get(layer).isEmpty())
        .findFirst();
  }

  /** Equal for partitions that differ in names only; for others but by a freak of chance. */
  private long fingerprint(int[] partition) {
    long[] members = new long[parts];
    for (int i = 0; i < partition.length; i++) {
      members[partition[i]] += mixed(i + 1);
    }

    for (int part = 0; part < parts; part++) {
      members[part] += mixed(-1 - chain.kind(part));
    }

    Topology topology = chain.parts();
    long all = 0;
    for (int node = 0; node < topology.nodes(); node++) {
      long inNode = 0;
      for (int part = topology.firstGpu(node); part < topology.firstGpu(node + 1); part++) {
        inNode += mixed(members[part]);
      }

      all += mixed(~inNode);
    }

    return all;
  }

  /** SplitMix64's finalizer (Steele, Lea, Flood 2014). */
  private static long mixed(long value) {
    long z = value * 0x9e3779b97f4a7c15L;
    z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
    z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
    return z ^ z >>> 31;
  }

  /**
   * The best map whose every layer is partitioned in a way that was added; no layer may be empty.
   */
  int[][] best() {
    int layers = chain.layers();
    int[][] before = new int[layers][];
    long[] total = new long[0]; // [partition], smallest cost of a way to it
    for (int layer = 0; layer < layers; layer++) {
      List<Long> costs = own.get(layer);
      long[] next = new long[costs.size()];
      before[layer] = new int[next.length];
      for (int now = 0; now < next.length; now++) {
        next[now] = costs.get(now);
      }

      if (layer > 0) {
        complete(layer - 1);
        for (int now = 0; now < next.length; now++) {
          long[] saved = saving.get(layer - 1).get(now);
          long least = Long.MAX_VALUE;
          for (int i = 0; i < saved.length; i++) {
            if (total[i] - saved[i] < least) {
              least = total[i] - saved[i];
              before[layer][now] = i;
            }
          }

          next[now] += least;
        }
      }

      total = next;
    }

    int at = 0;
    for (int i = 1; i < total.length; i++) {
      at = total[i] < total[at] ? i : at;
    }

    int[][] map = new int[layers][];
    for (int layer = layers - 1; layer >= 0; layer--) {
      map[layer] = partitions.get(layer).get(at).clone();
      at = before[layer][at];
    }

    rename(map);
    return map;
  }

  /** Names each layer as fits the layer before it best. */
  private void rename(int[][] map) {
    int[] sameAs = new int[parts];
    for (int layer = 1; layer < map.length; layer++) {
      stays(layer - 1, map[layer - 1], map[layer]);
      names.names(stays, sameAs);
      for (int i = 0; i < map[layer].length; i++) {
        map[layer][i] = sameAs[map[layer][i]];
      }
    }
  }

  /** Computes the savings between partitions of a gap that are not known yet. */
  private void complete(int gap) {
    List<int[]> left = partitions.get(gap);
    List<int[]> right = partitions.get(gap + 1);
    List<long[]> known = saving.get(gap);
    for (int now = 0; now < right.size(); now++) {
      long[] old = now < known.size() ? known.get(now) : new long[0];
      if (old.length < left.size()) {
        long[] saved = Arrays.copyOf(old, left.size());
        for (int i = old.length; i < saved.length; i++) {
          stays(gap, left.get(i), right.get(now));
          saved[i] = names.best(stays);
        }

        if (now < known.size()) {
          known.set(now, saved);
        } else {
          known.add(saved);
        }
      }
    }
  }

  private void stays(int gap, int[] left, int[] right) {
    Arrays.fill(stays, 0);
    for (int i = 0; i < left.length; i++) {
      int row = left[i] * parts;
      for (int j = 0; j < right.length; j++) {
        stays[row + right[j]] += chain.weight(gap, i, j);
      }
    }
  }
}
