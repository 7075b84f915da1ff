package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.Prices;
import java.util.Arrays;

/**
 * A map of a chain that changes swap by swap, with the effect of any swap at a few look-ups: hops
 * have a {@link HopTable} a layer, touches {@link FanoutTables}. Load above the cap is kept apart
 * from the cost.
 *
 * <p>Counts are {@code int}; where they do not fit, they are taken in units of a power of two, and
 * so is the cost. With assertions on, every change is checked from scratch. The hottest part has no
 * price here. Not safe for several threads.
 */
final class AnnealedMap {
  private static final int[] NONE = {};

  private final Chain chain;
  private final int parts;
  private final PairCounts pairs;
  private final int[][] map; // [layer][i]
  private final int[][] held; // [layer][part]
  private final HopTable[] hops; // [layer], made when first asked: a window has few layers
  private final boolean[] isBehind; // [layer], whether its table may not follow its neighbours
  private final boolean hasHops;
  private final int gpuPrice;
  private final int nodePrice;
  private final FanoutTables[] gpuTouches; // [layer]
  private final FanoutTables[] nodeTouches; // [layer]
  private final boolean[] hasTouches; // [layer], whether its tables are up to date
  private final long[][] load; // [layer][part]
  private final long[] excess; // [layer], load above the cap
  private final boolean hasCaps;
  private final boolean asserting;
  private long kept; // cost, if asserting

  AnnealedMap(PairCounts pairs, boolean asserting) {
    this.pairs = pairs;
    this.chain = pairs.chain();
    this.asserting = asserting;
    this.parts = chain.parts().gpus();
    int nodes = chain.parts().nodes();
    Prices prices = chain.prices();
    this.hasHops = prices.hop() > 0;
    int layers = chain.layers();
    this.gpuPrice = Math.toIntExact(prices.gpuTouch());
    this.nodePrice = nodes > 1 ? Math.toIntExact(prices.nodeTouch()) : 0; // else a constant
    this.gpuTouches = new FanoutTables[layers];
    this.nodeTouches = new FanoutTables[layers];
    this.hasTouches = new boolean[layers];
    this.map = new int[layers][];
    this.held = new int[layers][parts];
    this.hops = new HopTable[layers];
    this.isBehind = new boolean[layers];
    this.load = new long[layers][parts];
    this.excess = new long[layers];
    this.hasCaps = chain.hasCaps();
  }

  /** Starts from a copy of a map. */
  void reset(int[][] start) {
    for (int layer = 0; layer < map.length; layer++) {
      map[layer] = start[layer].clone();
      Arrays.fill(held[layer], 0);
      Arrays.fill(load[layer], 0);
      for (int i = 0; i < map[layer].length; i++) {
        held[layer][map[layer][i]]++;
        load[layer][map[layer][i]] += chain.load(layer, i);
      }

      excess[layer] = 0;
      for (int part = 0; hasCaps && part < parts; part++) {
        excess[layer] += above(layer, load[layer][part]);
      }

      hasTouches[layer] = false;
    }

    Arrays.fill(hops, null);
    Arrays.fill(isBehind, true);
    kept = asserting ? scratch() : 0;
  }

  /** What hops of a layer cost, where its neighbours are now. */
  private HopTable hops(int layer) {
    if (hops[layer] == null) {
      hops[layer] = new HopTable(chain, layer, map[layer]);
    }

    if (isBehind[layer]) {
      boolean isFirst = layer == 0;
      boolean isLast = layer == map.length - 1;
      hops[layer].follow(
          isFirst ? NONE : map[layer - 1],
          isFirst ? NONE : pairs.forth(layer - 1),
          isLast ? NONE : map[layer + 1],
          isLast ? NONE : pairs.back(layer));
      isBehind[layer] = false;
    }

    return hops[layer];
  }

  private int node(int part) {
    return chain.parts().node(part);
  }

  private long above(int layer, long load) {
    return Math.max(0, load - chain.cap(layer));
  }

  /** The cost, in units of {@code 2^shift}, from scratch. */
  long cost() {
    return scratch();
  }

  /** Load above the cap, over all layers. */
  long excess() {
    return Arrays.stream(excess).sum();
  }

  /** Load of a layer above its cap. */
  long excess(int layer) {
    return excess[layer];
  }

  int part(int layer, int expert) {
    return map[layer][expert];
  }

  /** A copy of the map. */
  int[][] copy() {
    return Arrays.stream(map).map(int[]::clone).toArray(int[][]::new);
  }

  /** By how much the cost would rise if two experts of a layer changed places. */
  int swapRise(int layer, int one, int other) {
    int rise = hasHops ? hops(layer).swapRise(one, other) : 0;
    if (gpuPrice > 0) {
      rise += gpuPrice * gpuTouches(layer).swapRise(one, other);
    }

    return nodePrice > 0 ? rise + nodePrice * nodeTouches(layer).swapRise(one, other) : rise;
  }

  /** Whether {@link #firstWithin} tells all: hops are all that counts, apart from caps. */
  boolean isHopsAlone() {
    return hasHops && gpuPrice == 0 && nodePrice == 0;
  }

  /** See {@link HopTable#firstWithin}; if hops are all that counts. */
  int firstWithin(int layer, int one, int first, int[] thresholds, int offset) {
    return hops(layer).firstWithin(one, first, thresholds, offset);
  }

  /** By how much the load above the cap would rise if two experts of a layer changed places. */
  long swapExcess(int layer, int one, int other) {
    return excessRise(
        layer,
        map[layer][one],
        map[layer][other],
        chain.load(layer, one) - chain.load(layer, other));
  }

  private long excessRise(int layer, int from, int to, long moved) {
    long[] loads = load[layer];
    return above(layer, loads[from] - moved)
        - above(layer, loads[from])
        + above(layer, loads[to] + moved)
        - above(layer, loads[to]);
  }

  /** Lets two experts of a layer change places. */
  void swap(int layer, int one, int other) {
    kept += asserting ? swapRise(layer, one, other) : 0;
    int from = map[layer][one];
    int to = map[layer][other];
    carry(layer, from, to, chain.load(layer, one) - chain.load(layer, other));
    if (hasHops) {
      hops(layer).move(one, to);
      hops(layer).move(other, from);
      changed(layer);
    }

    if (gpuPrice > 0) {
      gpuTouches(layer).swap(one, other);
    }

    if (nodePrice > 0) {
      nodeTouches(layer).swap(one, other);
    }

    map[layer][one] = to;
    map[layer][other] = from;
    if (asserting) {
      check("swap of experts %d and %d of layer %d".formatted(one, other, layer));
    }
  }

  private void carry(int layer, int from, int to, long moved) {
    if (hasCaps) {
      excess[layer] += excessRise(layer, from, to, moved);
    }

    load[layer][from] -= moved;
    load[layer][to] += moved;
  }

  private void changed(int layer) {
    if (layer > 0) {
      isBehind[layer - 1] = true;
    }

    if (layer < map.length - 1) {
      isBehind[layer + 1] = true;
    }
  }

  private FanoutTables gpuTouches(int layer) {
    if (!hasTouches[layer]) {
      fillTouches(layer);
    }

    return gpuTouches[layer];
  }

  private FanoutTables nodeTouches(int layer) {
    if (!hasTouches[layer]) {
      fillTouches(layer);
    }

    return nodeTouches[layer];
  }

  /** The tables of a layer are made when it changes first: a window has few layers. */
  private void fillTouches(int layer) {
    int size = map[layer].length;
    if (gpuPrice > 0) {
      if (gpuTouches[layer] == null) {
        gpuTouches[layer] = new FanoutTables(chain.sets(layer), size, parts, pairs.shift());
      }

      gpuTouches[layer].reset(map[layer]);
    }

    if (nodePrice > 0) {
      if (nodeTouches[layer] == null) {
        int nodes = chain.parts().nodes();
        nodeTouches[layer] = new FanoutTables(chain.sets(layer), size, nodes, pairs.shift());
      }

      nodeTouches[layer].reset(Arrays.stream(map[layer]).map(this::node).toArray());
    }

    hasTouches[layer] = true;
  }

  /** Whether an expert may go to a part without another coming back. */
  boolean mayMove(int layer, int expert, int to) {
    int from = map[layer][expert];
    return from != to
        && held[layer][from] > chain.least(layer, from)
        && held[layer][to] < chain.most(layer, to);
  }

  /** By how much the cost would rise if an expert went to a part. */
  int moveRise(int layer, int expert, int to) {
    int rise = hasHops ? hops(layer).moveRise(expert, to) : 0;
    if (gpuPrice > 0) {
      rise += gpuPrice * gpuTouches(layer).moveRise(expert, to);
    }

    return nodePrice > 0 ? rise + nodePrice * nodeTouches(layer).moveRise(expert, node(to)) : rise;
  }

  /** By how much the load above the cap would rise if an expert went to a part. */
  long moveExcess(int layer, int expert, int to) {
    return excessRise(layer, map[layer][expert], to, chain.load(layer, expert));
  }

  /** Lets an expert go to a part. */
  void move(int layer, int expert, int to) {
    kept += asserting ? moveRise(layer, expert, to) : 0;
    int from = map[layer][expert];
    carry(layer, from, to, chain.load(layer, expert));
    if (hasHops) {
      hops(layer).move(expert, to);
      changed(layer);
    }

    if (gpuPrice > 0) {
      gpuTouches(layer).move(expert, to);
    }

    if (nodePrice > 0) {
      nodeTouches(layer).move(expert, node(to));
    }

    held[layer][from]--;
    held[layer][to]++;
    map[layer][expert] = to;
    if (asserting) {
      check("move of expert %d to part %d in layer %d".formatted(expert, to, layer));
    }
  }

  /** The cost from scratch, in this map's unit. */
  private long scratch() {
    if (pairs.shift() == 0) {
      return chain.cost(map);
    }

    long sum = 0;
    for (int gap = 0; hasHops && gap < map.length - 1; gap++) {
      int at = 0;
      for (int from : map[gap]) {
        for (int to : map[gap + 1]) {
          sum += (long) pairs.forth(gap)[at++] * chain.parts().hopCost(from, to);
        }
      }
    }

    for (int layer = 0; layer < map.length; layer++) {
      if (gpuPrice > 0) {
        sum += gpuPrice * gpuTouches(layer).touches();
      }

      if (nodePrice > 0) {
        sum += nodePrice * nodeTouches(layer).touches();
      }
    }

    return sum;
  }

  private void check(String change) {
    long fresh = scratch();
    if (fresh != kept) {
      throw new IllegalStateException(
          "Corrupt cost after %s: %d kept, %d from scratch".formatted(change, kept, fresh));
    }

    for (int layer = 0; layer < map.length; layer++) {
      long[] loads = new long[parts];
      for (int i = 0; i < map[layer].length; i++) {
        loads[map[layer][i]] += chain.load(layer, i);
      }

      long over = 0;
      for (int part = 0; hasCaps && part < parts; part++) {
        over += above(layer, loads[part]);
      }

      if (!Arrays.equals(loads, load[layer]) || over != excess[layer]) {
        throw new IllegalStateException(
            "Corrupt load of layer %d after %s: %s kept, %s from scratch"
                .formatted(layer, change, Arrays.toString(load[layer]), Arrays.toString(loads)));
      }
    }
  }
}
