package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;

/**
 * A map of a chain that changes swap by swap, with the price of every expert on every part kept up
 * to date. Experts of one layer never meet, so the effect of a swap is four look-ups; carrying it
 * out updates the prices of the layers before and after. With assertions on, every change is
 * checked against the cost from scratch. Not safe for several threads.
 */
final class AnnealedMap {
  private final Chain chain;
  private final int parts;
  private final boolean oneNode;
  private final long[] link; // [part * parts + part], hop cost
  private final long[][] weight; // [gap][from * size of the next layer + to]
  private final long[][] reverse; // [gap][to * size of this layer + from]
  private final int[][] map; // [layer][i]
  private final int[][] held; // [layer][part]
  private final long[][] price; // [layer][i * parts + part], cost of its pairs were it there
  private final boolean asserting;
  private long cost;

  AnnealedMap(Chain chain, boolean asserting) {
    this.chain = chain;
    this.asserting = asserting;
    this.parts = chain.parts().gpus();
    this.oneNode = chain.parts().nodes() == 1 && chain.parts().hasUsualCosts();
    this.link = new long[parts * parts];
    for (int at = 0; at < link.length; at++) {
      link[at] = chain.parts().hopCost(at / parts, at % parts);
    }

    int layers = chain.layers();
    this.weight = new long[layers - 1][];
    this.reverse = new long[layers - 1][];
    for (int gap = 0; gap < layers - 1; gap++) {
      int from = chain.size(gap);
      int to = chain.size(gap + 1);
      weight[gap] = new long[from * to];
      reverse[gap] = new long[from * to];
      for (int i = 0; i < from; i++) {
        for (int j = 0; j < to; j++) {
          weight[gap][i * to + j] = chain.weight(gap, i, j);
          reverse[gap][j * from + i] = chain.weight(gap, i, j);
        }
      }
    }

    this.map = new int[layers][];
    this.held = new int[layers][parts];
    this.price = new long[layers][];
    for (int layer = 0; layer < layers; layer++) {
      price[layer] = new long[chain.size(layer) * parts];
    }
  }

  /** Starts from a copy of a map. */
  void reset(int[][] start) {
    for (int layer = 0; layer < map.length; layer++) {
      map[layer] = start[layer].clone();
      Arrays.fill(held[layer], 0);
      for (int part : map[layer]) {
        held[layer][part]++;
      }
    }

    for (int layer = 0; layer < map.length; layer++) {
      Arrays.fill(price[layer], 0);
      if (layer > 0) {
        addPrices(layer, reverse[layer - 1], map[layer - 1]);
      }

      if (layer < map.length - 1) {
        addPrices(layer, weight[layer], map[layer + 1]);
      }
    }

    cost = chain.cost(map);
  }

  private void addPrices(int layer, long[] pairs, int[] others) {
    int at = 0;
    for (int i = 0; i < map[layer].length; i++) {
      for (int other : others) {
        long pair = pairs[at++];
        for (int part = 0; pair != 0 && part < parts; part++) {
          price[layer][i * parts + part] += pair * link[part * parts + other];
        }
      }
    }
  }

  long cost() {
    return cost;
  }

  int part(int layer, int expert) {
    return map[layer][expert];
  }

  /** A copy of the map. */
  int[][] copy() {
    return Arrays.stream(map).map(int[]::clone).toArray(int[][]::new);
  }

  /** By how much the cost would rise if two experts of a layer changed places. */
  long swapRise(int layer, int one, int other) {
    long[] prices = price[layer];
    int from = map[layer][one];
    int to = map[layer][other];
    return prices[one * parts + to]
        - prices[one * parts + from]
        + prices[other * parts + from]
        - prices[other * parts + to];
  }

  /** Lets two experts of a layer change places. */
  void swap(int layer, int one, int other) {
    cost += swapRise(layer, one, other);
    int from = map[layer][one];
    int to = map[layer][other];
    if (layer > 0) {
      repriceSwap(layer - 1, reverse[layer - 1], one, other, from, to);
    }

    if (layer < map.length - 1) {
      repriceSwap(layer + 1, weight[layer], one, other, from, to);
    }

    map[layer][one] = to;
    map[layer][other] = from;
    check("swap of experts %d and %d of layer %d", one, other, layer);
  }

  private void repriceSwap(int layer, long[] pairs, int one, int other, int from, int to) {
    int size = map[layer].length;
    long[] prices = price[layer];
    int rowOne = one * size;
    int rowOther = other * size;
    for (int i = 0; i < size; i++) {
      long difference = pairs[rowOne + i] - pairs[rowOther + i];
      if (difference != 0) {
        reprice(prices, i * parts, difference, from, to);
      }
    }
  }

  /** Whether an expert may go to a part without another coming back. */
  boolean mayMove(int layer, int expert, int to) {
    int from = map[layer][expert];
    return from != to
        && held[layer][from] > chain.least(layer, from)
        && held[layer][to] < chain.most(layer, to);
  }

  /** By how much the cost would rise if an expert went to a part. */
  long moveRise(int layer, int expert, int to) {
    return price[layer][expert * parts + to] - price[layer][expert * parts + map[layer][expert]];
  }

  /** Lets an expert go to a part. */
  void move(int layer, int expert, int to) {
    cost += moveRise(layer, expert, to);
    int from = map[layer][expert];
    if (layer > 0) {
      repriceMove(layer - 1, reverse[layer - 1], expert, from, to);
    }

    if (layer < map.length - 1) {
      repriceMove(layer + 1, weight[layer], expert, from, to);
    }

    held[layer][from]--;
    held[layer][to]++;
    map[layer][expert] = to;
    check("move of expert %d to part %d in layer %d", expert, to, layer);
  }

  private void repriceMove(int layer, long[] pairs, int expert, int from, int to) {
    int size = map[layer].length;
    for (int i = 0; i < size; i++) {
      long pair = pairs[expert * size + i];
      if (pair != 0) {
        reprice(price[layer], i * parts, pair, from, to);
      }
    }
  }

  /** What weight that went from one part to another means to an expert that it belongs to. */
  private void reprice(long[] prices, int at, long weight, int from, int to) {
    if (oneNode) {
      prices[at + from] += weight;
      prices[at + to] -= weight;
      return;
    }

    for (int part = 0; part < parts; part++) {
      prices[at + part] += weight * (link[to * parts + part] - link[from * parts + part]);
    }
  }

  private void check(String change, int first, int second, int layer) {
    if (asserting) {
      long scratch = chain.cost(map);
      if (scratch != cost) {
        throw new IllegalStateException(
            "Corrupt cost after %s: %d kept, %d from scratch"
                .formatted(change.formatted(first, second, layer), cost, scratch));
      }
    }
  }
}
