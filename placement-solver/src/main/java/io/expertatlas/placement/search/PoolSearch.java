package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * A memetic search. An epoch anneals several maps from different starts, combines the partitions of
 * their layers in the best way, then anneals windows of layers of that map again and again, each
 * result going into the pool. Epochs are independent but for the best map, which most of them take
 * into their pool.
 *
 * <p>Starts are of three kinds, since they end in different valleys: random ones, ones with experts
 * sorted by load (hot experts together), and, on several nodes, ones whose nodes were annealed
 * before their GPUs.
 *
 * <p>Anneals run on several threads, each with a random generator of its own, and their results are
 * taken in a fixed order: the number of threads changes the time, not the answer.
 */
final class PoolSearch {
  private static final int POPULATION = 8;
  private static final int WINDOWS = 4; // annealed from the same map before it is replaced
  private static final int FAILURES = 8; // rounds of windows without improvement that end an epoch
  private static final int POOL = 60; // partitions of a layer at most
  private static final int WIDTH = 8; // layers of a window at most
  private static final long PROPOSALS = 100; // of an anneal, for each pair of experts of a layer
  private static final long LEAST_PROPOSALS = 50_000;
  private static final double HOT = 0.6; // temperatures, in units of a swap's mean effect
  private static final double COLD = 0.01;
  private static final double REHEATED = 0.15;

  private final Chain chain;
  private final Optional<Chain> nodesOnly;
  private final SplittableRandom random;
  private final boolean asserting;
  private final BooleanSupplier isTimeUp;
  private final Consumer<int[][]> improved;
  private final LayerPool pool;
  private final long proposals; // of one anneal
  private double unit; // mean effect of a swap
  private int[][] best;

  /**
   * Prepares a search.
   *
   * @param chain its parts must be interchangeable
   * @param asserting whether to check every change of a cost from scratch: slow
   * @param improved is called with each better map, on the calling thread
   */
  PoolSearch(
      Chain chain,
      long seed,
      boolean asserting,
      BooleanSupplier isTimeUp,
      Consumer<int[][]> improved) {
    this.chain = chain;
    this.nodesOnly = nodesOnly(chain);
    this.random = new SplittableRandom(seed);
    this.asserting = asserting;
    this.isTimeUp = isTimeUp;
    this.improved = improved;
    this.pool = new LayerPool(chain);
    long experts = 0;
    int widest = 0;
    for (int layer = 0; layer < chain.layers(); layer++) {
      experts += chain.size(layer);
      widest = Math.max(widest, chain.size(layer));
    }

    this.proposals = Math.max(LEAST_PROPOSALS, PROPOSALS * experts * widest);
  }

  /** The same experts with whole nodes as parts. */
  private static Optional<Chain> nodesOnly(Chain chain) {
    Topology parts = chain.parts();
    if (parts.nodes() == 1 || parts.gpusPerNode() == 1) {
      return Optional.empty();
    }

    int layers = chain.layers();
    int[][] members = new int[layers][];
    int[][] least = new int[layers][parts.nodes()];
    int[][] most = new int[layers][parts.nodes()];
    for (int layer = 0; layer < layers; layer++) {
      members[layer] = new int[chain.size(layer)];
      Arrays.setAll(members[layer], i -> i);
      for (int part = 0; part < parts.gpus(); part++) {
        least[layer][parts.node(part)] += chain.least(layer, part);
        most[layer][parts.node(part)] += chain.most(layer, part);
      }
    }

    return Optional.of(chain.select(members, new Topology(1, parts.nodes()), least, most));
  }

  /**
   * Searches until time is up, or for a number of epochs without improvement.
   *
   * @param start a map that the answer must not be worse than
   * @param patience epochs without improvement that end the search
   * @param workers carry out the anneals
   */
  int[][] run(int[][] start, int patience, Workers workers) {
    best = start;
    AnnealedMap map = new AnnealedMap(chain, asserting);
    map.reset(Starts.random(chain, random));
    unit = new Annealing(chain, map, isTimeUp).unit(random);
    int failures = 0;
    while (failures < patience && !isTimeUp.getAsBoolean()) {
      long before = chain.cost(best);
      epoch(workers);
      failures = chain.cost(best) < before ? 0 : failures + 1;
    }

    return best;
  }

  private void epoch(Workers workers) {
    pool.clear();
    if (random.nextInt(3) > 0) {
      pool.add(best);
    }

    workers.all(tasks(POPULATION, this::annealed)).forEach(pool::add);
    int[][] current = pool.best();
    long cost = offer(current);
    int failures = 0;
    while (failures < FAILURES && !isTimeUp.getAsBoolean()) {
      int[][] from = current;
      workers.all(tasks(WINDOWS, own -> annealedAgain(from, own))).forEach(pool::add);
      int[][] next = pool.best();
      long nextCost = offer(next);
      failures++;
      if (nextCost < cost) {
        current = next;
        cost = nextCost;
        failures = 0;
      }

      if (pool.size() > POOL) {
        pool.clear();
        pool.add(current);
      }
    }
  }

  /** Tasks with a random generator each, drawn from this search's. */
  private List<Callable<int[][]>> tasks(int count, Function<SplittableRandom, int[][]> task) {
    List<Callable<int[][]>> tasks = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      SplittableRandom own = random.split();
      tasks.add(() -> task.apply(own));
    }

    return tasks;
  }

  /** A map annealed from a start of some kind. */
  private int[][] annealed(SplittableRandom own) {
    AnnealedMap map = new AnnealedMap(chain, asserting);
    int kind = own.nextInt(nodesOnly.isPresent() ? 3 : 2);
    double heat = HOT * (0.4 + 1.2 * own.nextDouble());
    if (kind == 0) {
      map.reset(Starts.random(chain, own));
    } else if (kind == 1) {
      map.reset(sortedByLoad(own));
      heat *= 0.3 + 0.5 * own.nextDouble(); // a start that has structure is not molten
    } else {
      map.reset(nodesFirst(nodesOnly.orElseThrow(), own));
      heat *= 0.3;
    }

    new Annealing(chain, map, isTimeUp)
        .run(0, chain.layers() - 1, proposals, unit * heat, unit * COLD, own);
    return map.copy();
  }

  /** A map of which a window of layers is annealed again. */
  private int[][] annealedAgain(int[][] from, SplittableRandom own) {
    AnnealedMap map = new AnnealedMap(chain, asserting);
    map.reset(from);
    int width = Math.min(chain.layers(), 2 + own.nextInt(WIDTH - 1));
    int first = own.nextInt(chain.layers() - width + 1);
    new Annealing(chain, map, isTimeUp)
        .run(
            first,
            first + width - 1,
            proposals * width / (10 * WIDTH),
            unit * REHEATED * (0.3 + own.nextDouble()),
            unit * COLD,
            own);
    return map.copy();
  }

  /** Hot experts together: each layer sorted by its load, with some noise, and cut into parts. */
  private int[][] sortedByLoad(SplittableRandom own) {
    int[][] sorted = Starts.random(chain, own);
    for (int layer = 0; layer < sorted.length; layer++) {
      int[] slots = sorted[layer].clone();
      Arrays.sort(slots);
      Integer[] order = new Integer[slots.length];
      double[] key = new double[slots.length];
      for (int i = 0; i < order.length; i++) {
        order[i] = i;
        key[i] = load(layer, i) * (0.8 + 0.4 * own.nextDouble());
      }

      Arrays.sort(order, Comparator.comparingDouble((Integer i) -> -key[i]));
      for (int i = 0; i < order.length; i++) {
        sorted[layer][order[i]] = slots[i];
      }
    }

    return sorted;
  }

  private long load(int layer, int expert) {
    long load = 0;
    if (layer < chain.layers() - 1) {
      for (int to = 0; to < chain.size(layer + 1); to++) {
        load += chain.weight(layer, expert, to);
      }
    } else if (layer > 0) {
      for (int from = 0; from < chain.size(layer - 1); from++) {
        load += chain.weight(layer - 1, from, expert);
      }
    }

    return load;
  }

  /** Nodes annealed as if they were GPUs, then filled at random within. */
  private int[][] nodesFirst(Chain nodes, SplittableRandom own) {
    AnnealedMap coarse = new AnnealedMap(nodes, false);
    coarse.reset(Starts.random(nodes, own));
    Annealing anneal = new Annealing(nodes, coarse, isTimeUp);
    double scale = anneal.unit(own);
    anneal.run(0, nodes.layers() - 1, proposals / 2, scale * HOT, scale * COLD, own);
    int perNode = chain.parts().gpusPerNode();
    int[][] fine = new int[chain.layers()][];
    for (int layer = 0; layer < fine.length; layer++) {
      fine[layer] = new int[chain.size(layer)];
      int[] held = new int[chain.parts().gpus()];
      int[] order = new int[fine[layer].length];
      Arrays.setAll(order, i -> i);
      Starts.shuffle(order, own);
      for (int expert : order) {
        int node = coarse.part(layer, expert);
        int emptiest = node * perNode;
        for (int part = emptiest; part < (node + 1) * perNode; part++) {
          emptiest = held[part] < held[emptiest] ? part : emptiest;
        }

        fine[layer][expert] = emptiest;
        held[emptiest]++;
      }
    }

    return chain.isMetBy(fine) ? fine : Starts.random(chain, own);
  }

  private long offer(int[][] candidate) {
    long cost = chain.cost(candidate);
    if (cost < chain.cost(best)) {
      best = candidate;
      improved.accept(candidate);
    }

    return cost;
  }
}
