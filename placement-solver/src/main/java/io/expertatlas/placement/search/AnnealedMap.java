package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.Prices;
import java.util.Arrays;

/**
 * A map of a chain that changes swap by swap. What every expert would keep on every part, and on
 * every node, is kept up to date: experts of one layer never meet, so the effect of a swap is a few
 * look-ups, and carrying it out adds a row of pair weights to the layers before and after. Touches
 * have {@link FanoutTables}. Load above the cap is kept apart from the cost.
 *
 * <p>Counts are {@code int}; where they do not fit, they are taken in units of a power of two, and
 * so is the cost. With assertions on, every change is checked from scratch. The hottest part has no
 * price here. Not safe for several threads.
 */
final class AnnealedMap {
  private final Chain chain;
  private final int parts;
  private final int[] nodeGroup; // [part], its node's row after those of the parts
  private final int near; // saved by staying on a part
  private final int far; // saved by staying in a node
  private final int[] link; // [part * parts + part], with a matrix of costs; else empty
  private final PairCounts pairs;
  private final int[][] map; // [layer][i]
  private final int[][] held; // [layer][part]

  /**
   * {@code [layer][(part, then nodes) * size + i]}: the weight of an expert's pairs towards a part
   * or node; with a matrix of costs, minus what the pairs would cost were it on the part.
   */
  private final int[][] stays;

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
    Topology topology = chain.parts();
    int nodes = topology.nodes();
    this.nodeGroup = new int[parts];
    Arrays.setAll(nodeGroup, part -> parts + topology.node(part));
    boolean matrix = topology.hasCostMatrix();
    this.near = matrix ? 1 : topology.costInNode();
    this.far = matrix || nodes == 1 ? 0 : topology.costAcrossNodes() - near;
    this.link = new int[matrix ? parts * parts : 0];
    Arrays.setAll(link, at -> topology.hopCost(at / parts, at % parts));
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
    this.stays = new int[layers][];
    this.load = new long[layers][parts];
    this.excess = new long[layers];
    this.hasCaps = chain.hasCaps();
    for (int layer = 0; layer < layers; layer++) {
      int size = chain.size(layer);
      stays[layer] = new int[size * (parts + (far > 0 ? nodes : 0))];
    }
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

    for (int layer = 0; hasHops && layer < map.length; layer++) {
      Arrays.fill(stays[layer], 0);
      if (layer > 0) {
        addStays(layer, pairs.forth(layer - 1), map[layer - 1]);
      }

      if (layer < map.length - 1) {
        addStays(layer, pairs.back(layer), map[layer + 1]);
      }
    }

    kept = asserting ? scratch() : 0;
  }

  /**
   * Adds what each expert of a layer has with the experts of another.
   *
   * @param counts {@code [other * size + i]}
   */
  private void addStays(int layer, int[] counts, int[] others) {
    int size = map[layer].length;
    for (int other = 0; other < others.length; other++) {
      int part = others[other];
      if (link.length > 0) {
        for (int p = 0; p < parts; p++) {
          addRow(stays[layer], p * size, counts, other * size, size, -link[p * parts + part]);
        }
      } else {
        addRow(stays[layer], part * size, counts, other * size, size, 1);
      }

      if (far > 0) {
        addRow(stays[layer], nodeGroup[part] * size, counts, other * size, size, 1);
      }
    }
  }

  private int node(int part) {
    return nodeGroup[part] - parts;
  }

  private static void addRow(int[] to, int row, int[] from, int other, int size, int factor) {
    for (int i = 0; i < size; i++) {
      to[row + i] += factor * from[other + i];
    }
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
    int from = map[layer][one];
    int to = map[layer][other];
    int rise = 0;
    if (hasHops) {
      int[] row = stays[layer];
      int size = map[layer].length;
      rise = near * swapLoss(row, from * size, to * size, one, other);
      if (far > 0 && nodeGroup[from] != nodeGroup[to]) {
        rise += far * swapLoss(row, nodeGroup[from] * size, nodeGroup[to] * size, one, other);
      }
    }

    if (gpuPrice > 0) {
      rise += gpuPrice * gpuTouches(layer).swapRise(one, other);
    }

    return nodePrice > 0 ? rise + nodePrice * nodeTouches(layer).swapRise(one, other) : rise;
  }

  private static int swapLoss(int[] row, int from, int to, int one, int other) {
    return row[from + one] - row[to + one] + row[to + other] - row[from + other];
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
      if (layer > 0) {
        trade(layer - 1, pairs.back(layer - 1), one, other, from, to);
      }

      if (layer < map.length - 1) {
        trade(layer + 1, pairs.forth(layer), one, other, from, to);
      }
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

  /** The neighbours of two experts that change places see them elsewhere. */
  private void trade(int layer, int[] counts, int one, int other, int from, int to) {
    int size = map[layer].length;
    int[] row = stays[layer];
    if (link.length > 0) {
      for (int p = 0; p < parts; p++) {
        int factor = link[p * parts + from] - link[p * parts + to];
        addRow(row, p * size, counts, one * size, size, factor);
        addRow(row, p * size, counts, other * size, size, -factor);
      }

      return;
    }

    trade(row, from * size, to * size, counts, one * size, other * size, size);
    if (far > 0 && nodeGroup[from] != nodeGroup[to]) {
      int nodeFrom = nodeGroup[from] * size;
      trade(row, nodeFrom, nodeGroup[to] * size, counts, one * size, other * size, size);
    }
  }

  private static void trade(
      int[] row, int from, int to, int[] counts, int one, int other, int size) {
    for (int i = 0; i < size; i++) {
      row[from + i] += counts[other + i] - counts[one + i];
    }

    for (int i = 0; i < size; i++) {
      row[to + i] += counts[one + i] - counts[other + i];
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
    int from = map[layer][expert];
    int rise = 0;
    if (hasHops) {
      int[] row = stays[layer];
      int size = map[layer].length;
      rise = near * (row[from * size + expert] - row[to * size + expert]);
      if (far > 0) {
        rise += far * (row[nodeGroup[from] * size + expert] - row[nodeGroup[to] * size + expert]);
      }
    }

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
      if (layer > 0) {
        follow(layer - 1, pairs.back(layer - 1), expert, from, to);
      }

      if (layer < map.length - 1) {
        follow(layer + 1, pairs.forth(layer), expert, from, to);
      }
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

  private void follow(int layer, int[] counts, int expert, int from, int to) {
    int size = map[layer].length;
    int[] row = stays[layer];
    if (link.length > 0) {
      for (int p = 0; p < parts; p++) {
        int factor = link[p * parts + from] - link[p * parts + to];
        addRow(row, p * size, counts, expert * size, size, factor);
      }

      return;
    }

    addRow(row, from * size, counts, expert * size, size, -1);
    addRow(row, to * size, counts, expert * size, size, 1);
    if (far > 0) {
      addRow(row, nodeGroup[from] * size, counts, expert * size, size, -1);
      addRow(row, nodeGroup[to] * size, counts, expert * size, size, 1);
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
