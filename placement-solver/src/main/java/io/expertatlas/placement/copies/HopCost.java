package io.expertatlas.placement.copies;

import io.expertatlas.placement.Topology;

/**
 * Hops into and out of one layer with the layers beside it as they are. Tokens of an expert come
 * from GPUs in known numbers, go to its nearest copies, and from there on at a known price; so each
 * expert has a cost of its own that depends on its copies alone.
 */
final class HopCost implements LayerCost {
  private final Topology topology;
  private final double[][] from; // [expert][gpu], tokens that come from there; all 0 in layer 0
  private final double[][] onward; // [expert][gpu], hops of an average token from there to the next
  private final double[] tokens; // [expert]

  HopCost(Topology topology, double[][] from, double[][] onward, double[] tokens) {
    this.topology = topology;
    this.from = from;
    this.onward = onward;
    this.tokens = tokens;
  }

  @Override
  public double touching(Packing packing, int one, int other) {
    return one == other ? of(packing, one) : of(packing, one) + of(packing, other);
  }

  /** The cost of some experts. */
  double of(Packing packing, int[] experts) {
    double sum = 0;
    for (int expert : experts) {
      sum += of(packing, expert);
    }

    return sum;
  }

  /** Tokens of an expert that end on each GPU, {@code [gpu]}. */
  double[] arrivals(Packing packing, int expert) {
    double[] on = new double[packing.gpus()];
    double arrived = 0;
    for (int gpu = 0; gpu < on.length; gpu++) {
      if (from[expert][gpu] > 0) {
        arrived += from[expert][gpu];
        deal(packing, expert, gpu, from[expert][gpu], on);
      }
    }

    if (arrived == 0 && tokens[expert] > 0) {
      deal(packing, expert, -1, tokens[expert], on);
    }

    return on;
  }

  private void deal(Packing packing, int expert, int from, double count, double[] on) {
    int nearest = Integer.MAX_VALUE;
    int equallyNear = 0;
    for (int gpu = 0; gpu < on.length; gpu++) {
      if (packing.held(expert, gpu) > 0) {
        int cost = from < 0 ? 0 : topology.hopCost(from, gpu);
        equallyNear = cost < nearest ? 0 : equallyNear;
        nearest = Math.min(nearest, cost);
        equallyNear += cost == nearest ? packing.held(expert, gpu) : 0;
      }
    }

    for (int gpu = 0; gpu < on.length; gpu++) {
      if (packing.held(expert, gpu) > 0 && (from < 0 || topology.hopCost(from, gpu) == nearest)) {
        on[gpu] += count * packing.held(expert, gpu) / equallyNear;
      }
    }
  }

  private double of(Packing packing, int expert) {
    double cost = 0;
    double arrived = 0;
    for (int gpu = 0; gpu < from[expert].length; gpu++) {
      if (from[expert][gpu] > 0) {
        arrived += from[expert][gpu];
        cost += from[expert][gpu] * send(packing, expert, gpu);
      }
    }

    return arrived == 0 && tokens[expert] > 0
        ? tokens[expert] * send(packing, expert, -1) // in layer 0 tokens come from nowhere
        : cost;
  }

  /** Hops of a token from a GPU (-1: from none) to the nearest copies and on. */
  private double send(Packing packing, int expert, int from) {
    int nearest = Integer.MAX_VALUE;
    int equallyNear = 0;
    double on = 0;
    for (int gpu = 0; gpu < packing.gpus(); gpu++) {
      int copies = packing.held(expert, gpu);
      if (copies > 0) {
        int cost = from < 0 ? 0 : topology.hopCost(from, gpu);
        if (cost < nearest) {
          nearest = cost;
          equallyNear = 0;
          on = 0;
        }

        if (cost == nearest) {
          equallyNear += copies;
          on += copies * onward[expert][gpu];
        }
      }
    }

    return nearest + on / equallyNear;
  }
}
