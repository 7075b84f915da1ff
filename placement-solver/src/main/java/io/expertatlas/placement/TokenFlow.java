package io.expertatlas.placement;

import io.expertatlas.affinity.Transitions;
import java.util.Arrays;

/**
 * How many tokens go from GPU to GPU between adjacent MoE layers, following their first choices.
 * Immutable.
 *
 * <p>A token goes to the nearest copy of its next expert, and equally near copies get equal parts;
 * in layer 0, where a token has no GPU yet, all copies do. With one copy of each expert, or copies
 * in the last layer alone, the flow is exact. Otherwise the GPU of a token depends on all the
 * layers before, of which the counts know pairs only: the flow then takes the next expert to depend
 * on the present one alone, whatever copy of it the token is on.
 */
public final class TokenFlow {
  private final Topology topology;
  private final int gaps;
  private final boolean exact;
  private final double[] tokens; // [gap][from GPU][to GPU]

  private TokenFlow(Topology topology, int gaps, boolean exact) {
    this.topology = topology;
    this.gaps = gaps;
    this.exact = exact;
    this.tokens = new double[Math.multiplyExact(gaps, topology.gpus() * topology.gpus())];
  }

  /** The flow of counted tokens under a placement of the same shape. */
  public static TokenFlow of(Transitions transitions, Placement placement) {
    TokenFlow flow = new TokenFlow(placement.topology(), transitions.gaps(), isExact(placement));
    double[][] on = atStart(placement);
    for (int gap = 0; gap < flow.gaps; gap++) {
      on = flow.add(transitions, placement, gap, on);
    }

    return flow;
  }

  /** Whether pairs of experts tell every hop. */
  private static boolean isExact(Placement placement) {
    for (int layer = 0; layer < placement.layers() - 1; layer++) {
      if (placement.hasCopies(layer)) {
        return placement.topology().gpus() == 1;
      }
    }

    return true;
  }

  /** The part of an expert's tokens that is on each GPU in layer 0, {@code [expert][gpu]}. */
  private static double[][] atStart(Placement placement) {
    double[][] on = new double[placement.experts()][];
    for (int expert = 0; expert < on.length; expert++) {
      on[expert] = even(placement, 0, expert);
    }

    return on;
  }

  private static double[] even(Placement placement, int layer, int expert) {
    double[] parts = new double[placement.topology().gpus()];
    int copies = placement.copies(layer, expert);
    for (int copy = 0; copy < copies; copy++) {
      parts[placement.gpu(layer, expert, copy)] += 1.0 / copies;
    }

    return parts;
  }

  /** Adds a gap; gives the part of each expert's tokens on each GPU after it. */
  private double[][] add(Transitions transitions, Placement placement, int gap, double[][] on) {
    int gpus = topology.gpus();
    int experts = placement.experts();
    double[][] after = new double[experts][];
    double[] from = new double[gpus]; // tokens on their way to one expert
    for (int to = 0; to < experts; to++) {
      Arrays.fill(from, 0);
      double all = 0;
      for (int expert = 0; expert < experts; expert++) {
        long count = transitions.firstChoices(gap, expert, to);
        all += count;
        for (int gpu = 0; count > 0 && gpu < gpus; gpu++) {
          from[gpu] += count * on[expert][gpu];
        }
      }

      after[to] = all == 0 ? even(placement, gap + 1, to) : new double[gpus];
      for (int gpu = 0; gpu < gpus; gpu++) {
        if (from[gpu] > 0) {
          send(placement, gap, to, gpu, from[gpu], after[to], all);
        }
      }
    }

    return after;
  }

  private void send(
      Placement placement,
      int gap,
      int expert,
      int from,
      double count,
      double[] after,
      double all) {
    int copies = placement.copies(gap + 1, expert);
    int nearest = Integer.MAX_VALUE;
    int equallyNear = 0;
    for (int copy = 0; copy < copies; copy++) {
      int cost = topology.hopCost(from, placement.gpu(gap + 1, expert, copy));
      equallyNear = cost < nearest ? 1 : equallyNear + (cost == nearest ? 1 : 0);
      nearest = Math.min(nearest, cost);
    }

    for (int copy = 0; copy < copies; copy++) {
      int to = placement.gpu(gap + 1, expert, copy);
      if (topology.hopCost(from, to) == nearest) {
        tokens[(gap * topology.gpus() + from) * topology.gpus() + to] += count / equallyNear;
        after[to] += count / equallyNear / all;
      }
    }
  }

  /** Whether the flow is what a walk of every token gives, not an estimate from pairs. */
  public boolean isExact() {
    return exact;
  }

  /** Number of gaps between layers. */
  public int gaps() {
    return gaps;
  }

  /** Number of GPUs. */
  public int gpus() {
    return topology.gpus();
  }

  /** Tokens that are on GPU {@code from} in layer {@code gap} and on {@code to} in the next. */
  public double tokens(int gap, int from, int to) {
    return tokens[(gap * gpus() + from) * gpus() + to];
  }

  /** Hops of all tokens, to the nearest whole number. */
  public long hops() {
    double hops = 0;
    for (int gap = 0; gap < gaps; gap++) {
      for (int from = 0; from < gpus(); from++) {
        for (int to = 0; to < gpus(); to++) {
          hops += tokens(gap, from, to) * topology.hopCost(from, to);
        }
      }
    }

    return Math.round(hops);
  }

  /** Changes of GPU of all tokens, to the nearest whole number. */
  public long crossings() {
    double crossings = 0;
    for (int gap = 0; gap < gaps; gap++) {
      for (int from = 0; from < gpus(); from++) {
        for (int to = 0; to < gpus(); to++) {
          crossings += from == to ? 0 : tokens(gap, from, to);
        }
      }
    }

    return Math.round(crossings);
  }

  /** Changes of node of all tokens, to the nearest whole number. */
  public long interNode() {
    double interNode = 0;
    for (int gap = 0; gap < gaps; gap++) {
      for (int from = 0; from < gpus(); from++) {
        for (int to = 0; to < gpus(); to++) {
          interNode += topology.node(from) == topology.node(to) ? 0 : tokens(gap, from, to);
        }
      }
    }

    return Math.round(interNode);
  }
}
