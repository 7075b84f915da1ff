package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;
import java.util.List;

/**
 * One partition of each layer out of several, so that first choices hop least once GPUs have their
 * best names: what a gap saves depends on its two partitions alone, so the best choice is a path. A
 * cap on the sum of other costs is met by a price on them, found by halving.
 */
final class LayerChoice {
  private static final int HALVINGS = 40;

  private final List<List<int[]>> candidates; // [layer][candidate][expert]
  private final long[][] costs; // [layer][candidate]
  private final long[][][] saved; // [gap][candidate][candidate of the next layer]

  /**
   * Prepares a choice.
   *
   * @param hops a chain whose weights are those of hops
   * @param candidates {@code [layer][candidate]} maps of experts to GPUs, one or more a layer
   * @param costs what each costs besides, {@code [layer][candidate]}
   */
  LayerChoice(Chain hops, List<List<int[]>> candidates, long[][] costs) {
    this.candidates = candidates;
    this.costs = costs;
    this.saved = new long[candidates.size() - 1][][];
    BestNames names = new BestNames(hops);
    int parts = hops.parts().gpus();
    for (int gap = 0; gap < saved.length; gap++) {
      List<int[]> before = candidates.get(gap);
      List<int[]> after = candidates.get(gap + 1);
      saved[gap] = new long[before.size()][after.size()];
      for (int i = 0; i < before.size(); i++) {
        for (int j = 0; j < after.size(); j++) {
          saved[gap][i][j] = names.best(stays(hops, gap, before.get(i), after.get(j), parts));
        }
      }
    }
  }

  private static long[] stays(Chain hops, int gap, int[] before, int[] after, int parts) {
    long[] stays = new long[parts * parts];
    for (int i = 0; i < before.length; i++) {
      for (int j = 0; j < after.length; j++) {
        stays[before[i] * parts + after[j]] += hops.weight(gap, i, j);
      }
    }

    return stays;
  }

  /**
   * The choice that saves most of those found whose costs sum to the cap at most; the cheapest
   * candidates if none is found. Names of GPUs are still to be given ({@link Relabel}).
   */
  int[][] within(long cap) {
    int[] best = path(Double.POSITIVE_INFINITY);
    double low = 0;
    double high = 1;
    int[] free = path(0);
    if (cost(free) <= cap) {
      return maps(free);
    }

    while (cost(path(high)) > cap && high < 1e12) {
      low = high;
      high *= 4;
    }

    for (int i = 0; i < HALVINGS; i++) {
      double price = (low + high) / 2;
      int[] path = path(price);
      if (cost(path) <= cap) {
        high = price;
        best = saving(path) > saving(best) || cost(best) > cap ? path : best;
      } else {
        low = price;
      }
    }

    return maps(best);
  }

  /**
   * The path that saves most less its price; the cheapest, whatever it saves, if that is endless.
   */
  private int[] path(double price) {
    int layers = candidates.size();
    double[][] value = new double[layers][];
    int[][] from = new int[layers][];
    for (int layer = 0; layer < layers; layer++) {
      int count = candidates.get(layer).size();
      value[layer] = new double[count];
      from[layer] = new int[count];
      for (int now = 0; now < count; now++) {
        double best = layer == 0 ? 0 : Double.NEGATIVE_INFINITY;
        for (int before = 0; layer > 0 && before < value[layer - 1].length; before++) {
          double gain = Double.isInfinite(price) ? 0 : saved[layer - 1][before][now];
          if (value[layer - 1][before] + gain > best) {
            best = value[layer - 1][before] + gain;
            from[layer][now] = before;
          }
        }

        double weight = Double.isInfinite(price) ? 1 : price;
        value[layer][now] = best - weight * costs[layer][now];
      }
    }

    int[] path = new int[layers];
    for (int now = 1; now < value[layers - 1].length; now++) {
      path[layers - 1] =
          value[layers - 1][now] > value[layers - 1][path[layers - 1]] ? now : path[layers - 1];
    }

    for (int layer = layers - 1; layer > 0; layer--) {
      path[layer - 1] = from[layer][path[layer]];
    }

    return path;
  }

  private long cost(int[] path) {
    long cost = 0;
    for (int layer = 0; layer < path.length; layer++) {
      cost += costs[layer][path[layer]];
    }

    return cost;
  }

  private long saving(int[] path) {
    long saving = 0;
    for (int gap = 0; gap < saved.length; gap++) {
      saving += saved[gap][path[gap]][path[gap + 1]];
    }

    return saving;
  }

  private int[][] maps(int[] path) {
    int[][] maps = new int[path.length][];
    for (int layer = 0; layer < path.length; layer++) {
      maps[layer] = candidates.get(layer).get(path[layer]).clone();
    }

    return maps;
  }
}
