package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;

/**
 * Lower bounds on the cost of a chain: the sum over its gaps of a bound on each.
 *
 * <p>If an expert of a gap stays with its successors, at most as many successors as its part holds
 * profit: the stays of a gap form a bipartite graph whose degrees are bounded by the parts' sizes.
 * The heaviest such graph is a min-cost flow. With one expert per part it is the assignment
 * optimum. On several nodes the bounds for GPUs and for nodes add up, as {@code hop cost = [other
 * GPU] + [other node]}.
 */
public final class GapBound {
  /** Steps of the flow that are worth taking for all gaps; beyond, row and column sums serve. */
  private static final double WORTHWHILE_STEPS = 2e9;

  private GapBound() {}

  /** A bound that no map of the chain is below. */
  public static long of(Chain chain) {
    Topology parts = chain.parts();
    long bound = ofLevel(chain, 1);
    return parts.nodes() == 1 ? bound : bound + ofLevel(chain, parts.gpusPerNode());
  }

  /** The bound on changes between groups of {@code width} parts. */
  private static long ofLevel(Chain chain, int width) {
    if (chain.parts().gpus() == width) {
      return 0;
    }

    double steps = 0;
    for (int gap = 0; gap < chain.layers() - 1; gap++) {
      double from = chain.size(gap);
      double to = chain.size(gap + 1);
      steps += from * Math.min(to, room(chain, gap + 1, width)) * from * to;
    }

    long bound = 0;
    for (int gap = 0; gap < chain.layers() - 1; gap++) {
      int after = Math.min(chain.size(gap + 1), room(chain, gap + 1, width));
      int before = Math.min(chain.size(gap), room(chain, gap, width));
      long stays =
          steps <= WORTHWHILE_STEPS && chain.size(gap) == chain.size(gap + 1)
              ? heaviestSubgraph(chain, gap, after, before)
              : Math.min(topSums(chain, gap, after, true), topSums(chain, gap, before, false));
      bound += chain.total(gap) - stays;
    }

    return bound;
  }

  private static int room(Chain chain, int layer, int width) {
    int room = 0;
    for (int group = 0; group < chain.parts().gpus(); group += width) {
      int sum = 0;
      for (int part = group; part < group + width; part++) {
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
   * {@code after} partners and each of the second at most {@code before}, as many pairs as
   * possible: successive shortest paths, one pair at a time. Both layers have equally many experts.
   */
  static long heaviestSubgraph(Chain chain, int gap, int after, int before) {
    int from = chain.size(gap);
    int to = chain.size(gap + 1);
    long high = 0;
    for (int i = 0; i < from; i++) {
      for (int j = 0; j < to; j++) {
        high = Math.max(high, chain.weight(gap, i, j));
      }
    }

    boolean[] taken = new boolean[from * to];
    int[] degree = new int[to];
    long[] potential = new long[from + to];
    long[] distance = new long[from + to];
    int[] parent = new int[from + to];
    boolean[] done = new boolean[from + to];
    long weight = 0;
    for (int source = 0; source < from; source++) {
      for (int unit = 0; unit < after; unit++) {
        Arrays.fill(distance, Long.MAX_VALUE);
        Arrays.fill(done, false);
        Arrays.fill(parent, -1);
        distance[source] = 0;
        int end = -1;
        while (end < 0) {
          int at = -1;
          for (int v = 0; v < from + to; v++) {
            if (!done[v] && distance[v] != Long.MAX_VALUE && (at < 0 || distance[v] < distance[at])) {
              at = v;
            }
          }

          if (at < 0) {
            break;
          }

          done[at] = true;
          if (at >= from && degree[at - from] < before) {
            end = at;
          } else if (at < from) {
            for (int j = 0; j < to; j++) {
              if (!taken[at * to + j]) {
                relax(distance, potential, parent, at, from + j, high - chain.weight(gap, at, j));
              }
            }
          } else {
            for (int i = 0; i < from; i++) {
              if (taken[i * to + at - from]) {
                relax(
                    distance,
                    potential,
                    parent,
                    at,
                    i,
                    chain.weight(gap, i, at - from) - high);
              }
            }
          }
        }

        if (end < 0) {
          break;
        }

        long length = distance[end];
        for (int v = 0; v < from + to; v++) {
          potential[v] += Math.min(distance[v], length);
        }

        for (int v = end; v != source; v = parent[v]) {
          int u = parent[v];
          boolean forth = v >= from;
          int i = forth ? u : v;
          int j = (forth ? v : u) - from;
          taken[i * to + j] = forth;
          weight += forth ? chain.weight(gap, i, j) : -chain.weight(gap, i, j);
        }

        degree[end - from]++;
      }
    }

    return weight;
  }

  private static void relax(
      long[] distance, long[] potential, int[] parent, int at, int next, long cost) {
    long through = distance[at] + cost + potential[at] - potential[next];
    if (through < distance[next]) {
      distance[next] = through;
      parent[next] = at;
    }
  }
}
