package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * Spreads the load of a layer: the hottest part as cool as possible. Longest processing time first,
 * then swaps and moves between pairs of parts until none lowers the hotter of the two, then the
 * same again after a few random swaps. Not safe for several threads.
 */
final class LoadBalance {
  private static final int KICKS = 300;
  private static final int KICK = 3; // swaps at random
  private static final int CLOSE_ENOUGH = 2000; // this share of the bound is not worth a kick

  private final Chain chain;
  private final int layer;
  private final int parts;
  private final int size;
  private final long[] weight; // [i]
  private final long[] step; // [i] its weight less the next smaller one
  private final int[] map; // [i]
  private final long[] load; // [part]
  private final int[] held; // [part]
  private long coldest; // the least load of any part

  private LoadBalance(Chain chain, int layer) {
    this.chain = chain;
    this.layer = layer;
    this.parts = chain.parts().gpus();
    this.size = chain.size(layer);
    this.weight = new long[size];
    Arrays.setAll(weight, i -> chain.load(layer, i));
    this.step = steps(weight);
    this.map = new int[size];
    this.load = new long[parts];
    this.held = new int[parts];
  }

  private static long[] steps(long[] weight) {
    long[] step = new long[weight.length];
    for (int i = 0; i < step.length; i++) {
      long lighter = -1;
      for (long other : weight) {
        lighter = other < weight[i] ? Math.max(lighter, other) : lighter;
      }

      step[i] = lighter < 0 ? Long.MAX_VALUE : weight[i] - lighter;
    }

    return step;
  }

  /** A map of all layers of a chain. */
  static int[][] of(Chain chain, SplittableRandom random) {
    int[][] map = new int[chain.layers()][];
    for (int layer = 0; layer < map.length; layer++) {
      map[layer] = ofLayer(chain, layer, random);
    }

    return map;
  }

  /** The part of each expert of a layer, {@code [i]}. */
  static int[] ofLayer(Chain chain, int layer, SplittableRandom random) {
    LoadBalance balance = new LoadBalance(chain, layer);
    int[] longest = longestFirst(chain, layer);
    balance.reset(longest);
    balance.descend();
    int[] best = balance.map.clone();
    long hottest = balance.hottest();
    long bound = LayerBound.hottest(chain, layer);
    long goal = bound + bound / CLOSE_ENOUGH;
    for (int kick = 0; kick < KICKS && hottest > goal; kick++) {
      balance.reset(best);
      balance.kick(random);
      balance.descend();
      if (balance.hottest() <= hottest) {
        best = balance.map.clone();
        hottest = balance.hottest();
      }
    }

    return best;
  }

  /** The most popular expert first, each to the part with the least load that may take it. */
  static int[] longestFirst(Chain chain, int layer) {
    int size = chain.size(layer);
    Integer[] order = new Integer[size];
    Arrays.setAll(order, i -> i);
    Arrays.sort(order, (a, b) -> Long.compare(chain.load(layer, b), chain.load(layer, a)));
    int[] map = new int[size];
    int parts = chain.parts().gpus();
    long[] load = new long[parts];
    int[] held = new int[parts];
    int missing = 0; // experts that parts below their fewest still need
    for (int part = 0; part < parts; part++) {
      missing += chain.least(layer, part);
    }

    int left = size;
    for (int expert : order) {
      int best = -1;
      for (int part = 0; part < parts; part++) {
        boolean mayTake =
            held[part] < chain.most(layer, part)
                && (held[part] < chain.least(layer, part) || missing < left);
        if (mayTake && (best < 0 || load[part] < load[best])) {
          best = part;
        }
      }

      missing -= held[best] < chain.least(layer, best) ? 1 : 0;
      map[expert] = best;
      load[best] += chain.load(layer, expert);
      held[best]++;
      left--;
    }

    return map;
  }

  private void reset(int[] start) {
    System.arraycopy(start, 0, map, 0, size);
    Arrays.fill(load, 0);
    Arrays.fill(held, 0);
    for (int i = 0; i < size; i++) {
      load[map[i]] += weight[i];
      held[map[i]]++;
    }

    coldest = coldest();
  }

  private long coldest() {
    long coldest = Long.MAX_VALUE;
    for (long l : load) {
      coldest = Math.min(coldest, l);
    }

    return coldest;
  }

  private long hottest() {
    long hottest = 0;
    for (long l : load) {
      hottest = Math.max(hottest, l);
    }

    return hottest;
  }

  private void kick(SplittableRandom random) {
    for (int i = 0; i < KICK && size > 1; i++) {
      swap(random.nextInt(size), random.nextInt(size));
    }
  }

  private void swap(int one, int other) {
    int from = map[one];
    int to = map[other];
    carry(from, to, weight[one] - weight[other]);
    map[one] = to;
    map[other] = from;
  }

  private void carry(int from, int to, long moved) {
    load[from] -= moved;
    load[to] += moved;
    coldest = coldest();
  }

  /** Swaps and moves as long as the sum of squared loads falls. */
  private void descend() {
    boolean improved = true;
    while (improved) {
      improved = false;
      for (int one = 0; one < size; one++) {
        // where even the nearest lighter expert is too light for the coldest part, no swap helps
        boolean mayHelp = step[one] < load[map[one]] - coldest;
        for (int other = 0; mayHelp && other < size; other++) {
          long moved = weight[one] - weight[other];
          // from a hot part to a cold one, and not so much that they change roles for the worse
          if (moved > 0 && moved < load[map[one]] - load[map[other]]) {
            swap(one, other);
            improved = true;
          }
        }

        improved |= moves(one);
      }
    }
  }

  private boolean moves(int expert) {
    boolean mayHelp = weight[expert] < load[map[expert]] - coldest;
    for (int to = 0; mayHelp && to < parts; to++) {
      int from = map[expert];
      if (weight[expert] > 0
          && weight[expert] < load[from] - load[to]
          && held[from] > chain.least(layer, from)
          && held[to] < chain.most(layer, to)) {
        carry(from, to, weight[expert]);
        held[from]--;
        held[to]++;
        map[expert] = to;
        return true;
      }
    }

    return false;
  }
}
