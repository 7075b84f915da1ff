package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;

/**
 * Looks for a map that is cheap and near: the cost of a chain plus a price for every expert that is
 * not where it is now. Names of parts matter here, so it anneals by swaps from named starts: the
 * present map, where few things move, and a wanted map whose parts are first renamed so that most
 * experts are at home. The answer is never worse than either. One thread; the same seed gives the
 * same answer unless time is up.
 */
public final class MovingSearch {
  private static final long PROPOSALS = 60; // of an anneal, for each pair of experts of a layer
  private static final long LEAST_PROPOSALS = 20_000;
  private static final int BLOCK = 1024; // proposals between looks at the clock
  private static final double[] HEATS = {0.02, 0.1, 0.3, 0.8}; // in units of a swap's mean effect
  private static final double COLD = 0.005;

  private final Chain chain;
  private final int[][] present; // [layer][i]
  private final long price; // of an expert that is elsewhere
  private final int parts;
  private final long[][] toPart; // [layer][i * parts + part] cost of the pairs of i, were it there
  private final long[][] held; // [layer][part] load
  private int[][] map;
  private long value;

  /**
   * Prepares a search.
   *
   * @param chain of pairs alone; caps on load are kept to, or come nearer to where the start is
   *     above them
   * @param present {@code [layer][i]} where the experts are
   * @param price of an expert that is elsewhere, in units of the chain's cost
   */
  public MovingSearch(Chain chain, int[][] present, long price) {
    this.chain = chain;
    this.present = present;
    this.price = price;
    this.parts = chain.parts().gpus();
    this.toPart = new long[chain.layers()][];
    this.held = new long[chain.layers()][parts];
    for (int layer = 0; layer < toPart.length; layer++) {
      toPart[layer] = new long[chain.size(layer) * parts];
    }
  }

  /** The cost of a map plus the price of its moves. */
  public long value(int[][] candidate) {
    return chain.cost(candidate) + price * moved(candidate);
  }

  /** Experts that are elsewhere. */
  public long moved(int[][] candidate) {
    long moved = 0;
    for (int layer = 0; layer < candidate.length; layer++) {
      for (int i = 0; i < candidate[layer].length; i++) {
        moved += candidate[layer][i] == present[layer][i] ? 0 : 1;
      }
    }

    return moved;
  }

  /**
   * The best map found.
   *
   * @param wanted a map with a low cost, wherever it is
   */
  public int[][] run(int[][] wanted, long seed, BooleanSupplier isTimeUp) {
    SplittableRandom random = new SplittableRandom(seed);
    int[][] renamed = renamed(wanted);
    int[][] best = value(renamed) < value(present) ? renamed : present;
    for (double heat : HEATS) {
      for (int[][] start : new int[][][] {present, renamed, best}) {
        reset(start);
        anneal(heat, random, isTimeUp);
        descend();
        int[][] nearer = renamed(map);
        if (value(nearer) < value) {
          reset(nearer);
          descend();
        }

        if (value < value(best) && chain.isMetBy(map)) {
          best = copy(map);
        }
      }
    }

    return best;
  }

  /** The map with its nodes, and the parts in them, renamed so that most experts stay. */
  public int[][] renamed(int[][] wanted) {
    Topology topology = chain.parts();
    if (!chain.isSymmetric() || !topology.isSymmetric() || !topology.hasEqualNodes()) {
      return wanted;
    }

    long[] agreement = new long[parts * parts]; // [new part][present part]
    for (int layer = 0; layer < wanted.length; layer++) {
      for (int i = 0; i < wanted[layer].length; i++) {
        agreement[wanted[layer][i] * parts + present[layer][i]]++;
      }
    }

    int perNode = topology.gpusPerNode();
    int nodes = topology.nodes();
    long[] nodeCost = new long[nodes * nodes];
    int[][] inside = new int[nodes * nodes][perNode];
    Assignment gpus = new Assignment(perNode);
    for (int pair = 0; pair < nodeCost.length; pair++) {
      long[] cost = new long[perNode * perNode];
      for (int at = 0; at < cost.length; at++) {
        int from = pair / nodes * perNode + at / perNode;
        int to = pair % nodes * perNode + at % perNode;
        cost[at] = -agreement[from * parts + to];
      }

      nodeCost[pair] = gpus.minimize(cost, inside[pair]);
    }

    int[] nodeOf = new int[nodes];
    new Assignment(nodes).minimize(nodeCost, nodeOf);
    int[][] renamed = copy(wanted);
    for (int[] layer : renamed) {
      for (int i = 0; i < layer.length; i++) {
        int node = layer[i] / perNode;
        int to = nodeOf[node];
        layer[i] = to * perNode + inside[node * nodes + to][layer[i] % perNode];
      }
    }

    return renamed;
  }

  private void reset(int[][] start) {
    map = copy(start);
    value = value(start);
    for (int layer = 0; layer < map.length; layer++) {
      Arrays.fill(toPart[layer], 0);
      Arrays.fill(held[layer], 0);
      for (int i = 0; i < map[layer].length; i++) {
        held[layer][map[layer][i]] += chain.load(layer, i);
      }
    }

    for (int gap = 0; gap < map.length - 1; gap++) {
      for (int from = 0; from < map[gap].length; from++) {
        for (int to = 0; to < map[gap + 1].length; to++) {
          long weight = chain.weight(gap, from, to);
          for (int part = 0; weight != 0 && part < parts; part++) {
            toPart[gap][from * parts + part] += weight * hop(part, map[gap + 1][to]);
            toPart[gap + 1][to * parts + part] += weight * hop(map[gap][from], part);
          }
        }
      }
    }
  }

  private long hop(int from, int to) {
    return chain.parts().hopCost(from, to);
  }

  private long away(int layer, int i, int part) {
    return part == present[layer][i] ? 0 : price;
  }

  private long rise(int layer, int i, int part) {
    int now = map[layer][i];
    return toPart[layer][i * parts + part]
        - toPart[layer][i * parts + now]
        + away(layer, i, part)
        - away(layer, i, now);
  }

  private long swapRise(int layer, int one, int other) {
    return rise(layer, one, map[layer][other]) + rise(layer, other, map[layer][one]);
  }

  private boolean isWithinCap(int layer, int one, int other) {
    long cap = chain.cap(layer);
    if (cap == Long.MAX_VALUE) {
      return true;
    }

    long difference = chain.load(layer, one) - chain.load(layer, other);
    long rising = held[layer][difference > 0 ? map[layer][other] : map[layer][one]];
    long falling = held[layer][difference > 0 ? map[layer][one] : map[layer][other]];
    return rising + Math.abs(difference) <= Math.max(cap, falling);
  }

  private void swap(int layer, int one, int other) {
    value += swapRise(layer, one, other);
    int from = map[layer][one];
    int to = map[layer][other];
    long difference = chain.load(layer, one) - chain.load(layer, other);
    held[layer][from] -= difference;
    held[layer][to] += difference;
    map[layer][one] = to;
    map[layer][other] = from;
    if (layer > 0) {
      for (int i = 0; i < map[layer - 1].length; i++) {
        reprice(
            layer - 1,
            i,
            chain.weight(layer - 1, i, one) - chain.weight(layer - 1, i, other),
            from,
            to,
            true);
      }
    }

    if (layer < map.length - 1) {
      for (int i = 0; i < map[layer + 1].length; i++) {
        reprice(
            layer + 1,
            i,
            chain.weight(layer, one, i) - chain.weight(layer, other, i),
            from,
            to,
            false);
      }
    }
  }

  /** What weight that went from one part to another means to an expert that it belongs to. */
  private void reprice(int layer, int i, long weight, int from, int to, boolean outgoing) {
    for (int part = 0; weight != 0 && part < parts; part++) {
      toPart[layer][i * parts + part] +=
          weight * (outgoing ? hop(part, to) - hop(part, from) : hop(to, part) - hop(from, part));
    }
  }

  private void anneal(double heat, SplittableRandom random, BooleanSupplier isTimeUp) {
    double unit = unit(random);
    long proposals = LEAST_PROPOSALS;
    for (int layer = 0; layer < map.length; layer++) {
      proposals += PROPOSALS * chain.size(layer) * chain.size(layer);
    }

    double temperature = unit * heat;
    double cooling = Math.pow(COLD / heat, (double) BLOCK / Math.max(BLOCK, proposals));
    for (long done = 0; done < proposals && !isTimeUp.getAsBoolean(); done += BLOCK) {
      for (int i = 0; i < BLOCK; i++) {
        int layer = random.nextInt(map.length);
        int one = random.nextInt(map[layer].length);
        int other = random.nextInt(map[layer].length);
        if (map[layer][one] != map[layer][other]
            && swapRise(layer, one, other) <= -temperature * Math.log(random.nextDouble() + 1e-300)
            && isWithinCap(layer, one, other)) {
          swap(layer, one, other);
        }
      }

      temperature *= cooling;
    }
  }

  private double unit(SplittableRandom random) {
    double sum = 0;
    int counted = 0;
    for (int i = 0; i < 2000; i++) {
      int layer = random.nextInt(map.length);
      int one = random.nextInt(map[layer].length);
      int other = random.nextInt(map[layer].length);
      if (map[layer][one] != map[layer][other]) {
        sum += Math.abs(swapRise(layer, one, other));
        counted++;
      }
    }

    return counted == 0 || sum == 0 ? 1 : sum / counted;
  }

  /** Swaps that help, until none does. */
  private void descend() {
    boolean improved = true;
    while (improved) {
      improved = false;
      for (int layer = 0; layer < map.length; layer++) {
        for (int one = 0; one < map[layer].length; one++) {
          for (int other = one + 1; other < map[layer].length; other++) {
            if (map[layer][one] != map[layer][other]
                && swapRise(layer, one, other) < 0
                && isWithinCap(layer, one, other)) {
              swap(layer, one, other);
              improved = true;
            }
          }
        }
      }
    }
  }

  private static int[][] copy(int[][] map) {
    return Arrays.stream(map).map(int[]::clone).toArray(int[][]::new);
  }
}
