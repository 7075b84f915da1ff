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
  private static final int SAMPLES = 60;
  private static final double COLDEST = 1e-3; // of the hottest temperature

  private final RouteCounts counts;
  private final Topology topology;
  private final double[] caps; // [layer], choices on a GPU
  private final BooleanSupplier isOver;
  private final SplittableRandom random;

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
    this.random = random;
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
      rename(layers[layer], cost, withinNodes);
      if (!namesOnly) {
        int steps = Math.min(MOST_HOP_STEPS, HOP_STEPS_PER_SLOT * layers[layer].slots());
        anneal(layers[layer], cost, layer, steps);
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

  /** Exchanges names of GPUs, and of nodes, as long as that lowers the cost. */
  private void rename(Packing packing, HopCost cost, boolean withinNodes) {
    boolean better = true;
    while (better && !isOver.getAsBoolean()) {
      better = false;
      for (int one = 0; one < topology.gpus(); one++) {
        for (int other = one + 1; other < topology.gpus(); other++) {
          if (!withinNodes || topology.node(one) == topology.node(other)) {
            better |= rename(packing, cost, one, other, 1);
          }
        }
      }

      for (int one = 0; one < topology.nodes(); one++) {
        for (int other = one + 1; other < topology.nodes(); other++) {
          int width = topology.gpusOf(one);
          if (width == topology.gpusOf(other) && (width > 1 || withinNodes)) {
            better |=
                rename(packing, cost, topology.firstGpu(one), topology.firstGpu(other), width);
          }
        }
      }
    }
  }

  private static boolean rename(Packing packing, HopCost cost, int one, int other, int width) {
    int perGpu = packing.perGpu();
    int[] experts = new int[2 * width * perGpu];
    for (int i = 0; i < width * perGpu; i++) {
      experts[i] = packing.expert(one * perGpu + i);
      experts[width * perGpu + i] = packing.expert(other * perGpu + i);
    }

    int[] touched = Arrays.stream(experts).distinct().toArray();
    double before = cost.of(packing, touched);
    for (int i = 0; i < width; i++) {
      packing.rename(one + i, other + i);
    }

    if (cost.of(packing, touched) < before * (1 - 1e-12)) {
      return true;
    }

    for (int i = 0; i < width; i++) {
      packing.rename(one + i, other + i);
    }

    return false;
  }

  /** {@linkplain #fill Fills} the layers in turn by hops. */
  void fillHops(Packing[] layers) {
    double[][] from = new double[layers[0].experts()][topology.gpus()];
    for (int layer = 0; layer < layers.length; layer++) {
      HopCost cost = cost(layers, layer, from);
      fill(layers[layer], cost, layer);
      from = layer + 1 < layers.length ? onTheWay(layers[layer], cost, layer) : from;
    }
  }

  /** Lowers the GPUs, and nodes where there are several, that tokens touch; never raises them. */
  void lowerTouches(Packing[] layers, LongConsumer progress) {
    TouchCost[] costs = new TouchCost[layers.length];
    for (int layer = 0; layer < costs.length; layer++) {
      costs[layer] =
          new TouchCost(topology, layers[layer].experts(), counts.expertSets().get(layer));
    }

    for (int sweep = 0; sweep < TOUCH_SWEEPS && !isOver.getAsBoolean(); sweep++) {
      long touches = 0;
      for (int layer = 0; layer < layers.length; layer++) {
        int steps = Math.min(MOST_TOUCH_STEPS, TOUCH_STEPS_PER_SLOT * layers[layer].slots());
        anneal(layers[layer], costs[layer], layer, steps << sweep);
        touches += costs[layer].total(layers[layer]);
      }

      progress.accept(touches);
    }
  }

  /**
   * Replaces second copies that share a GPU with the first: by whatever costs least, within the
   * cap.
   */
  void fill(Packing packing, LayerCost cost, int layer) {
    for (int slot = 0; slot < packing.slots() && !isOver.getAsBoolean(); slot++) {
      int before = packing.expert(slot);
      int gpu = packing.gpuOf(slot);
      double least = 0;
      int best = before;
      for (int expert = 0; packing.held(before, gpu) > 1 && expert < packing.experts(); expert++) {
        if (packing.held(expert, gpu) == 0) {
          double change = assign(packing, cost, slot, expert);
          if (change < least && packing.hottest() <= caps[layer]) {
            least = change;
            best = expert;
          }

          packing.assign(slot, before);
        }
      }

      packing.assign(slot, best);
    }

    packing.reload();
  }

  /** Anneals a layer; it ends with the best packing on the way. */
  private void anneal(Packing packing, LayerCost cost, int layer, int steps) {
    if (packing.gpus() == 1) {
      return;
    }

    double heat = heat(packing, cost);
    double now = 0;
    double least = 0;
    int[] best = packing.toArray();
    for (int step = 0; step < steps && !isOver.getAsBoolean(); step++) {
      double limit =
          -heat * Math.pow(COLDEST, step / (double) steps) * Math.log(random.nextDouble());
      now += propose(packing, cost, caps[layer], limit);
      if (now < least - 1e-9) {
        least = now;
        best = packing.toArray();
      }
    }

    packing.become(best);
  }

  /** A temperature at which some of the changes that cost are kept. */
  private double heat(Packing packing, LayerCost cost) {
    double sum = 0;
    int[] kept = packing.toArray();
    for (int i = 0; i < SAMPLES && !isOver.getAsBoolean(); i++) {
      sum += Math.abs(propose(packing, cost, Double.MAX_VALUE, Double.MAX_VALUE)) / SAMPLES;
      packing.become(kept);
    }

    return Math.max(1e-9, 0.1 * sum);
  }

  /** Proposes a change and keeps it if it costs at most the limit; what it costs, 0 if not kept. */
  private double propose(Packing packing, LayerCost cost, double cap, double limit) {
    boolean spare = packing.slots() > packing.experts();
    int one = random.nextInt(packing.slots());
    if (spare && random.nextInt(3) == 0) {
      int before = packing.expert(one);
      int expert = random.nextInt(packing.experts());
      if (packing.copies(before) == 1 || before == expert) {
        return 0;
      }

      double change = assign(packing, cost, one, expert);
      if (change <= limit && packing.hottest() <= cap) {
        return change;
      }

      packing.assign(one, before);
      return 0;
    }

    int other = random.nextInt(packing.slots());
    int a = packing.expert(one);
    int b = packing.expert(other);
    int from = packing.gpuOf(one);
    int to = packing.gpuOf(other);
    double moved = packing.share(a) - packing.share(b);
    if (from == to
        || a == b
        || packing.load(from) - moved > cap
        || packing.load(to) + moved > cap) {
      return 0;
    }

    double before = cost.touching(packing, a, b);
    packing.swap(one, other);
    double change = cost.touching(packing, a, b) - before;
    if (change <= limit) {
      return change;
    }

    packing.swap(one, other);
    return 0;
  }

  private static double assign(Packing packing, LayerCost cost, int slot, int expert) {
    int before = packing.expert(slot);
    double costBefore = cost.touching(packing, before, expert);
    packing.assign(slot, expert);
    return cost.touching(packing, before, expert) - costBefore;
  }
}
