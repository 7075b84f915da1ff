package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;

/**
 * Where the anneals of a {@link PoolSearch} begin. The kinds end in different valleys: random maps,
 * maps with experts sorted by load (hot experts together; under caps, spread evenly instead), and,
 * on several nodes, maps whose nodes were annealed before their GPUs.
 */
final class PoolStarts {
  private final Chain chain;
  private final Optional<Chain> nodes;
  private final BooleanSupplier isTimeUp;

  PoolStarts(Chain chain, BooleanSupplier isTimeUp) {
    this.chain = chain;
    this.isTimeUp = isTimeUp;
    this.nodes =
        !chain.parts().isSymmetric()
                || chain.parts().nodes() == 1
                || chain.parts().gpusPerNode() == 1
            ? Optional.empty()
            : Optional.of(chain.nodesOnly());
  }

  /** Number of kinds. */
  int kinds() {
    return nodes.isPresent() ? 3 : 2;
  }

  /** Whether starts of a kind take an anneal of their own. */
  static boolean isAnnealed(int kind) {
    return kind == 2;
  }

  /**
   * A start.
   *
   * @param proposals of the anneal that it may take
   * @param hot first temperature of that, in units of a swap's mean effect
   */
  int[][] of(int kind, long proposals, double hot, double cold, SplittableRandom random) {
    if (isAnnealed(kind)) {
      return nodesFirst(nodes.orElseThrow(), proposals, hot, cold, random);
    }

    if (kind == 0) {
      return Starts.random(chain, random);
    }

    return chain.hasCaps() ? LoadBalance.of(chain, random) : sortedByLoad(random);
  }

  /** Hot experts together: each layer sorted by its pairs, with some noise, and cut into parts. */
  private int[][] sortedByLoad(SplittableRandom random) {
    int[][] sorted = Starts.random(chain, random);
    for (int layer = 0; layer < sorted.length; layer++) {
      int[] slots = sorted[layer].clone();
      Arrays.sort(slots);
      Integer[] order = new Integer[slots.length];
      double[] key = new double[slots.length];
      for (int i = 0; i < order.length; i++) {
        order[i] = i;
        key[i] = pairs(layer, i) * (0.8 + 0.4 * random.nextDouble());
      }

      Arrays.sort(order, Comparator.comparingDouble((Integer i) -> -key[i]));
      for (int i = 0; i < order.length; i++) {
        sorted[layer][order[i]] = slots[i];
      }
    }

    return sorted;
  }

  private long pairs(int layer, int expert) {
    long pairs = 0;
    if (layer < chain.layers() - 1) {
      for (int to = 0; to < chain.size(layer + 1); to++) {
        pairs += chain.weight(layer, expert, to);
      }
    } else if (layer > 0) {
      for (int from = 0; from < chain.size(layer - 1); from++) {
        pairs += chain.weight(layer - 1, from, expert);
      }
    }

    return pairs;
  }

  /** Nodes annealed as if they were GPUs, then filled at random within. */
  private int[][] nodesFirst(
      Chain coarseChain, long proposals, double hot, double cold, SplittableRandom random) {
    AnnealedMap coarse = new AnnealedMap(new PairCounts(coarseChain), false);
    coarse.reset(Starts.random(coarseChain, random));
    Annealing anneal = new Annealing(coarseChain, coarse, isTimeUp);
    double unit = anneal.unit(random);
    anneal.run(0, coarseChain.layers() - 1, proposals, unit * hot, unit * cold, random);
    int[][] fine = new int[chain.layers()][];
    for (int layer = 0; layer < fine.length; layer++) {
      Optional<int[]> filled = filled(coarse, layer, random);
      if (filled.isEmpty()) {
        return Starts.random(chain, random);
      }

      fine[layer] = filled.get();
    }

    return fine;
  }

  /** Experts in random order, each to the GPU of its node with most room; the fewest first. */
  private Optional<int[]> filled(AnnealedMap coarse, int layer, SplittableRandom random) {
    int perNode = chain.parts().gpusPerNode();
    int[] map = new int[chain.size(layer)];
    int[] held = new int[chain.parts().gpus()];
    int[] order = new int[map.length];
    Arrays.setAll(order, i -> i);
    Starts.shuffle(order, random);
    for (int expert : order) {
      int first = coarse.part(layer, expert) * perNode;
      int best = first;
      for (int part = first; part < first + perNode; part++) {
        best = need(layer, part, held[part]) > need(layer, best, held[best]) ? part : best;
      }

      map[expert] = best;
      held[best]++;
    }

    for (int part = 0; part < held.length; part++) {
      if (held[part] < chain.least(layer, part) || held[part] > chain.most(layer, part)) {
        return Optional.empty();
      }
    }

    return Optional.of(map);
  }

  /** How much a part wants another expert: what it lacks comes before what it has room for. */
  private long need(int layer, int part, int held) {
    long lacks = Math.max(0, chain.least(layer, part) - held);
    return (lacks << 32) + chain.most(layer, part) - held;
  }
}
