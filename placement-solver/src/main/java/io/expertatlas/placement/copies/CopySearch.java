package io.expertatlas.placement.copies;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.Transitions;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.TokenFlow;
import io.expertatlas.placement.Topology;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;
import java.util.function.LongConsumer;

/**
 * Lowers hops or fan-out of packings within caps on load, layer by layer with the others as they
 * are: each visit anneals exchanges of slots and new experts for the slots of experts that have
 * several copies. For hops a visit first renames the GPUs of the layer, which changes no load, and
 * the sweeps go on until they do not pay. Not safe for several threads.
 */
final class CopySearch {
  private static final int MOST_HOP_STEPS = 20_000;
  private static final int HOP_STEPS_PER_SLOT = 400;
  private static final int MOST_TOUCH_STEPS = 1_500;
  private static final int TOUCH_STEPS_PER_SLOT = 20;
  private static final int TOUCH_SWEEPS = 4;

  private final RouteCounts counts;
  private final Topology topology;
  private final double[] caps; // [layer], choices on a GPU
  private final BooleanSupplier isOver;
  private final LayerAnneal anneal;
  private final GpuNames names;

  /**
   * A search.
   *
   * @param topology the cluster as the objective sees it
   * @param caps {@code [layer]} most choices on a GPU
   * @param isOver whether to stop; asked often
   */
  CopySearch(
      RouteCounts counts,
      Topology topology,
      double[] caps,
      BooleanSupplier isOver,
      SplittableRandom random) {
    this.counts = counts;
    this.topology = topology;
    this.caps = caps;
    this.isOver = isOver;
    this.anneal = new LayerAnneal(isOver, random);
    this.names = new GpuNames(topology, isOver);
  }

  /** The placement of packings. */
  static Placement placement(Topology topology, Packing[] layers) {
    return Placement.ofSlots(
        topology,
        layers[0].experts(),
        Arrays.stream(layers).map(Packing::toArray).toArray(int[][]::new));
  }

  /**
   * Lowers hops, by names of GPUs alone or with the slots too; never raises them.
   *
   * @param namesOnly whether only to rename GPUs
   * @param withinNodes whether a GPU keeps to its node, unless all of the node move
   * @param progress receives the hops after each sweep that paid
   */
  void lowerHops(Packing[] layers, boolean namesOnly, boolean withinNodes, LongConsumer progress) {
    int[][] best = arrays(layers);
    long hops = hops(layers);
    for (int failures = 0; failures < (namesOnly ? 1 : 2) && !isOver.getAsBoolean(); ) {
      sweep(layers, namesOnly, withinNodes);
      long now = hops(layers);
      if (now < hops) {
        hops = now;
        best = arrays(layers);
        failures = 0;
        progress.accept(now);
      } else {
        failures++;
      }
    }

    restore(layers, best);
  }

  private long hops(Packing[] layers) {
    return TokenFlow.of(counts.transitions(), placement(topology, layers)).hops();
  }

  private static int[][] arrays(Packing[] layers) {
    return Arrays.stream(layers).map(Packing::toArray).toArray(int[][]::new);
  }

  private static void restore(Packing[] layers, int[][] slots) {
    for (int layer = 0; layer < layers.length; layer++) {
      layers[layer] = new Packing(layers[layer].choices(), layers[layer].gpus(), slots[layer]);
    }
  }

  private void sweep(Packing[] layers, boolean namesOnly, boolean withinNodes) {
    double[][] from = new double[layers[0].experts()][topology.gpus()]; // of no layer
    for (int layer = 0; layer < layers.length && !isOver.getAsBoolean(); layer++) {
      HopCost cost = cost(layers, layer, from);
      names.improve(layers[layer], cost, withinNodes);
      if (!namesOnly) {
        int steps = Math.min(MOST_HOP_STEPS, HOP_STEPS_PER_SLOT * layers[layer].slots());
        anneal.anneal(layers[layer], cost, caps[layer], steps);
      }

      from = layer + 1 < layers.length ? onTheWay(layers[layer], cost, layer) : from;
    }
  }

  private HopCost cost(Packing[] layers, int layer, double[][] from) {
    Transitions transitions = counts.transitions();
    int experts = layers[layer].experts();
    int gpus = topology.gpus();
    double[] tokens = new double[experts];
    double[][] onward = new double[experts][gpus];
    for (int expert = 0; expert < experts; expert++) {
      tokens[expert] = counts.popularity().firstChoices(layer, expert);
    }

    for (int next = 0; layer + 1 < layers.length && next < experts; next++) {
      for (int gpu = 0; gpu < gpus; gpu++) {
        int hop = nearest(layers[layer + 1], next, gpu);
        for (int expert = 0; hop > 0 && expert < experts; expert++) {
          if (tokens[expert] > 0) {
            onward[expert][gpu] +=
                hop * transitions.firstChoices(layer, expert, next) / tokens[expert];
          }
        }
      }
    }

    return new HopCost(topology, from, onward, tokens);
  }

  private int nearest(Packing packing, int expert, int from) {
    int nearest = Integer.MAX_VALUE;
    for (int gpu = 0; gpu < packing.gpus(); gpu++) {
      if (packing.held(expert, gpu) > 0) {
        nearest = Math.min(nearest, topology.hopCost(from, gpu));
      }
    }

    return nearest;
  }

  /** Tokens on their way to each expert of the next layer from each GPU. */
  private double[][] onTheWay(Packing packing, HopCost cost, int layer) {
    double[][] from = new double[packing.experts()][topology.gpus()];
    for (int expert = 0; expert < packing.experts(); expert++) {
      double[] on = cost.arrivals(packing, expert);
      double all = Arrays.stream(on).sum();
      for (int next = 0; all > 0 && next < packing.experts(); next++) {
        long tokens = counts.transitions().firstChoices(layer, expert, next);
        for (int gpu = 0; tokens > 0 && gpu < on.length; gpu++) {
          from[next][gpu] += tokens * on[gpu] / all;
        }
      }
    }

    return from;
  }

  /** {@linkplain LayerAnneal#fill Fills} the layers in turn by hops. */
  void fillHops(Packing[] layers) {
    double[][] from = new double[layers[0].experts()][topology.gpus()];
    for (int layer = 0; layer < layers.length; layer++) {
      HopCost cost = cost(layers, layer, from);
      anneal.fill(layers[layer], cost, caps[layer]);
      from = layer + 1 < layers.length ? onTheWay(layers[layer], cost, layer) : from;
    }
  }

  /** {@linkplain LayerAnneal#fill Fills} the layers by the GPUs and nodes that tokens touch. */
  void fillTouches(Packing[] layers) {
    TouchCost[] costs = touchCosts(layers);
    for (int layer = 0; layer < layers.length; layer++) {
      anneal.fill(layers[layer], costs[layer], caps[layer]);
    }
  }

  private TouchCost[] touchCosts(Packing[] layers) {
    TouchCost[] costs = new TouchCost[layers.length];
    for (int layer = 0; layer < costs.length; layer++) {
      costs[layer] =
          new TouchCost(topology, layers[layer].experts(), counts.expertSets().get(layer));
    }

    return costs;
  }

  /** Lowers the GPUs, and nodes where there are several, that tokens touch; never raises them. */
  void lowerTouches(Packing[] layers, LongConsumer progress) {
    TouchCost[] costs = touchCosts(layers);
    for (int sweep = 0; sweep < TOUCH_SWEEPS && !isOver.getAsBoolean(); sweep++) {
      long touches = 0;
      for (int layer = 0; layer < layers.length; layer++) {
        int steps = Math.min(MOST_TOUCH_STEPS, TOUCH_STEPS_PER_SLOT * layers[layer].slots());
        anneal.anneal(layers[layer], costs[layer], caps[layer], steps << sweep);
        touches += costs[layer].total(layers[layer]);
      }

      progress.accept(touches);
    }
  }
}
