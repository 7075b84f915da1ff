package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;
import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * One partition of each layer out of several, so that first choices hop least once GPUs have their
 * best names: what a gap saves depends on its two partitions alone, so the best choice is a path,
 * and one within a cap on the sum of other costs a path that counts what is spent.
 */
final class LayerChoice {
  private static final int UNITS = 1000; // of the cost that a cap leaves
  private static final long NONE = Long.MIN_VALUE / 2;

  private final List<List<int[]>> candidates; // [layer][candidate][expert]
  private final long[][] costs; // [layer][candidate]
  private final long[][][] saved; // [gap][candidate][candidate of the next layer]

  /**
   * Prepares a choice.
   *
   * @param hops a chain whose weights are those of hops
   * @param candidates {@code [layer][candidate]} maps of experts to GPUs, one or more a layer
   * @param costs what each costs besides, {@code [layer][candidate]}
   * @param isTimeUp whether to leave the pairs that are not known yet out: they then save nothing
   */
  LayerChoice(Chain hops, List<List<int[]>> candidates, long[][] costs, BooleanSupplier isTimeUp) {
    this.candidates = candidates;
    this.costs = costs;
    this.saved = new long[candidates.size() - 1][][];
    BestNames names = new BestNames(hops);
    int parts = hops.parts().gpus();
    for (int gap = 0; gap < saved.length; gap++) {
      List<int[]> before = candidates.get(gap);
      List<int[]> after = candidates.get(gap + 1);
      saved[gap] = new long[before.size()][after.size()];
      for (int i = 0; i < before.size() && !isTimeUp.getAsBoolean(); i++) {
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
   * The choice that saves most of those whose costs sum to the cap at most; the cheapest candidates
   * if there is none. Exact if what the cap leaves above the cheapest is at most {@link #UNITS};
   * else it is spent in so many equal units, costs rounded up. Names of GPUs are still to be given
   * ({@link Relabel}).
   */
  int[][] within(long cap) {
    long room = cap;
    long most = 0; // above the cheapest, over all layers
    long[] least = new long[costs.length];
    for (int layer = 0; layer < costs.length; layer++) {
      least[layer] = Arrays.stream(costs[layer]).min().orElseThrow();
      room -= least[layer];
      most += Arrays.stream(costs[layer]).max().orElseThrow() - least[layer];
    }

    int[][] spent = new int[costs.length][]; // [layer][candidate], in units
    if (room >= most) {
      Arrays.setAll(spent, layer -> new int[costs[layer].length]);
      return maps(path(spent, 0));
    }

    room = Math.max(0, room);
    long unit = Math.max(1, (room + UNITS - 1) / UNITS);
    int units = (int) (room / unit);
    for (int layer = 0; layer < costs.length; layer++) {
      long cheapest = least[layer];
      spent[layer] =
          Arrays.stream(costs[layer])
              .mapToInt(cost -> (int) Math.min(units + 1L, (cost - cheapest + unit - 1) / unit))
              .toArray();
    }

    return maps(path(spent, units));
  }

  /** The path that saves most of those that spend so many units at most. */
  private int[] path(int[][] spent, int units) {
    int layers = spent.length;
    long[][] value = new long[0][]; // [candidate][units spent at most]
    short[][][] from = new short[layers][][]; // [layer][candidate][units spent at most]
    for (int layer = 0; layer < layers; layer++) {
      long[][] next = new long[spent[layer].length][units + 1];
      from[layer] = new short[next.length][units + 1];
      for (int now = 0; now < next.length; now++) {
        Arrays.fill(next[now], layer == 0 ? 0 : NONE);
        Arrays.fill(next[now], 0, Math.min(units + 1, spent[layer][now]), NONE);
        for (int before = 0; before < value.length; before++) {
          long gain = saved[layer - 1][before][now];
          for (int all = spent[layer][now]; all <= units; all++) {
            long sum = value[before][all - spent[layer][now]] + gain;
            if (sum > next[now][all]) {
              next[now][all] = sum;
              from[layer][now][all] = (short) before;
            }
          }
        }
      }

      value = next;
    }

    int[] path = new int[layers];
    for (int now = 1; now < value.length; now++) {
      path[layers - 1] =
          value[now][units] > value[path[layers - 1]][units] ? now : path[layers - 1];
    }

    int left = units;
    for (int layer = layers - 1; layer > 0; layer--) {
      path[layer - 1] = from[layer][path[layer]][left];
      left -= spent[layer][path[layer]];
    }

    return path;
  }

  private int[][] maps(int[] path) {
    int[][] maps = new int[path.length][];
    for (int layer = 0; layer < path.length; layer++) {
      maps[layer] = candidates.get(layer).get(path[layer]).clone();
    }

    return maps;
  }
}
