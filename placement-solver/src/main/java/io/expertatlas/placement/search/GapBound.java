package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Lower bounds on the cost of a chain: the sum over its gaps, and over its layers, of a bound on
 * each.
 *
 * <p>An expert's pairs with at most as many experts of the next layer as a part holds can stay: the
 * stays of a gap form a bipartite graph whose degrees are bounded by the parts' sizes. The heaviest
 * such graph is a min-cost flow. With one expert per part it is the assignment optimum. On several
 * nodes the bounds for GPUs and for nodes add up, as {@code hop cost = [other GPU] + [other node]};
 * at other costs the lowest in a node and across nodes take their place.
 */
public final class GapBound {
  /** Steps of the flow that are worth taking for all gaps; beyond, row and column sums serve. */
  private static final double WORTHWHILE_STEPS = 2e9;

  private GapBound() {}

  /** A bound that no map of the chain is below. */
  public static long of(Chain chain) {
    Topology parts = chain.parts();
    long bound = 0;
    for (int layer = 0; layer < chain.layers(); layer++) {
      bound += LayerBound.of(chain, layer);
    }

    if (chain.prices().hop() > 0) {
      long near = parts.lowestCost();
      bound += near * ofLevel(chain, IntStream.rangeClosed(0, parts.gpus()).toArray());
      if (parts.nodes() > 1 && parts.lowestCostAcross() > near) {
        int[] nodes = IntStream.rangeClosed(0, parts.nodes()).map(parts::firstGpu).toArray();
        bound += (parts.lowestCostAcross() - near) * ofLevel(chain, nodes);
      }
    }

    return bound;
  }

  /** The least weight that changes between groups of so many parts, next to each other. */
  static long ofGroups(Chain chain, int width) {
    return ofLevel(
        chain,
        IntStream.rangeClosed(0, chain.parts().gpus() / width).map(g -> g * width).toArray());
  }

  /**
   * The bound on changes between groups of parts, {@code [group]} the first of each and the end.
   */
  private static long ofLevel(Chain chain, int[] first) {
    if (first.length == 2) {
      return 0;
    }

    double steps = 0;
    for (int gap = 0; gap < chain.layers() - 1; gap++) {
      double from = chain.size(gap);
      double to = chain.size(gap + 1);
      steps += from * Math.min(to, room(chain, gap + 1, first)) * from * to;
    }

    long bound = 0;
    for (int gap = 0; gap < chain.layers() - 1; gap++) {
      int after = Math.min(chain.size(gap + 1), room(chain, gap + 1, first));
      int before = Math.min(chain.size(gap), room(chain, gap, first));
      long stays =
          steps <= WORTHWHILE_STEPS
              ? heaviestSubgraph(chain, gap, after, before)
              : Math.min(topSums(chain, gap, after, true), topSums(chain, gap, before, false));
      bound += chain.total(gap) - stays;
    }

    return bound;
  }

  private static int room(Chain chain, int layer, int[] first) {
    int room = 0;
    for (int group = 0; group < first.length - 1; group++) {
      int sum = 0;
      for (int part = first[group]; part < first[group + 1]; part++) {
        sum += chain.most(layer, part);
      }

      room = Math.max(room, sum);
    }

    return room;
  }

  /** Sum over experts of the heaviest {@code degree} weights of each. */
  static long topSums(Chain chain, int gap, int degree, boolean rows) {
    int outer = chain.size(rows ? gap : gap + 1);
    int inner = chain.size(rows ? gap + 1 : gap);
    long[] values = new long[inner];
    long sum = 0;
    for (int i = 0; i < outer; i++) {
      for (int j = 0; j < inner; j++) {
        values[j] = rows ? chain.weight(gap, i, j) : chain.weight(gap, j, i);
      }

      Arrays.sort(values);
      for (int j = inner - degree; j < inner; j++) {
        sum += values[j];
      }
    }

    return sum;
  }

  /**
   * Weight of the heaviest set of pairs in which each expert of the gap's first layer has at most
   * {@code after} partners and each of the second at most {@code before}: successive shortest
   * paths, one pair at a time.
   */
  static long heaviestSubgraph(Chain chain, int gap, int after, int before) {
    int from = chain.size(gap);
    int to = chain.size(gap + 1);
    long[] weights = new long[from * to];
    for (int i = 0; i < from; i++) {
      for (int j = 0; j < to; j++) {
        weights[i * to + j] = chain.weight(gap, i, j);
      }
    }

    return heaviestSubgraph(weights, from, to, after, before);
  }

  /** The same of weights {@code [i * to + j]}, not negative. */
  static long heaviestSubgraph(long[] weights, int from, int to, int after, int before) {
    return new Flow(weights, from, to, before).heaviest(after);
  }

  /** Vertices: the first layer's experts, the second's, and one that stands for no partner. */
  private static final class Flow {
    private final long[] weights; // [i * to + j]
    private final int from;
    private final int to;
    private final int before;
    private final long high; // cost of a pair = high - weight
    private final boolean[] taken; // [i * to + j]
    private final int[] degree; // [j]
    private final long[] potential;
    private final long[] distance;
    private final int[] parent;
    private final boolean[] done;

    Flow(long[] weights, int from, int to, int before) {
      this.weights = weights;
      this.from = from;
      this.to = to;
      this.before = before;
      this.taken = new boolean[from * to];
      this.degree = new int[to];
      int vertices = from + to + 1;
      this.potential = new long[vertices];
      this.distance = new long[vertices];
      this.parent = new int[vertices];
      this.done = new boolean[vertices];
      long most = 0;
      for (long weight : weights) {
        most = Math.max(most, weight);
      }

      this.high = most;
    }

    long heaviest(int after) {
      long weight = 0;
      for (int source = 0; source < from; source++) {
        for (int unit = 0; unit < after; unit++) {
          weight += augment(source);
        }
      }

      return weight;
    }

    private long augment(int source) {
      int end = search(source);
      long length = distance[end];
      for (int v = 0; v < potential.length; v++) {
        potential[v] += Math.min(distance[v], length);
      }

      long gain = 0;
      for (int v = end; v != source; v = parent[v]) {
        boolean forth = v >= from;
        int i = forth ? parent[v] : v;
        int j = (forth ? v : parent[v]) - from;
        if (j < to) {
          taken[i * to + j] = forth;
          gain += forth ? weights[i * to + j] : -weights[i * to + j];
        }
      }

      if (end < from + to) {
        degree[end - from]++;
      }

      return gain;
    }

    /** The nearest vertex with room; the one for no partner always has. */
    private int search(int source) {
      Arrays.fill(distance, Long.MAX_VALUE);
      Arrays.fill(done, false);
      distance[source] = 0;
      while (true) {
        int at = nearest();
        if (at == from + to || (at >= from && degree[at - from] < before)) {
          return at;
        }

        done[at] = true;
        if (at < from) {
          relax(at, from + to, high);
          for (int j = 0; j < to; j++) {
            if (!taken[at * to + j]) {
              relax(at, from + j, high - weights[at * to + j]);
            }
          }
        } else {
          for (int i = 0; i < from; i++) {
            if (taken[i * to + at - from]) {
              relax(at, i, weights[i * to + at - from] - high);
            }
          }
        }
      }
    }

    private int nearest() {
      int at = from + to;
      for (int v = 0; v < from + to; v++) {
        if (!done[v] && distance[v] < distance[at]) {
          at = v;
        }
      }

      return at;
    }

    private void relax(int at, int next, long cost) {
      long through = distance[at] + cost + potential[at] - potential[next];
      if (through < distance[next]) {
        distance[next] = through;
        parent[next] = at;
      }
    }
  }
}
