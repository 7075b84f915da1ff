package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * A memetic search. An epoch anneals several maps from {@linkplain PoolStarts different starts},
 * combines the partitions of their layers in the best way, then anneals windows of layers of that
 * map again and again, each result going into the pool. Epochs are independent but for the results
 * of others, which join the pool at the end of an epoch, and the best map, with which most begin.
 *
 * <p>Anneals run on several threads, each with a random generator of its own, and their results are
 * taken in a fixed order; a limit on steps is shared out before they run. So the number of threads
 * changes the time, not the answer.
 */
final class PoolSearch {
  private static final int POPULATION = 8;
  private static final int WINDOWS =
      4; // at least, annealed from the same map before it is replaced
  private static final int FAILURES = 8; // rounds of windows without improvement that end an epoch
  private static final int POOL = 60; // partitions of a layer at most, of 8 parts
  private static final int WIDTH = 8; // layers of a narrow window at most, of a wide one at least
  private static final double WIDE = 0.4; // of the windows
  private static final int SWEPT = 512; // slots of a layer at most: a sweep takes their cube
  private static final int ARCHIVE = 10; // results of epochs that are remembered
  private static final long PROPOSALS = 100; // of an anneal, for each pair of experts of a layer
  private static final long LEAST_PROPOSALS = 50_000;
  private static final long MOST_PROPOSALS = 24_000_000;
  private static final double HOT = 1.4; // temperatures, in units of a swap's mean effect
  private static final double COLD = 0.01;
  private static final double REHEATED_LEAST = 0.05;
  private static final double REHEATED_MOST = 0.8;
  private static final double MOLTEN_LEAST = 0.3; // of a wide window
  private static final double WINDOW_PROPOSALS =
      0.15; // of a window of full width, over an anneal's

  private final Chain chain;
  private final PairCounts pairs;
  private final PoolStarts starts;
  private final SplittableRandom random;
  private final boolean asserting;
  private final BooleanSupplier isTimeUp;
  private final Consumer<int[][]> improved;
  private final LayerPool pool;
  private final Optional<Sweeps> sweeps;
  private final List<int[][]> archive = new ArrayList<>();
  private final long proposals; // of one anneal
  private final int poolSize; // partitions of a layer at most
  private final int windows; // annealed from the same map before it is replaced
  private long stepsLeft;
  private double unit; // mean effect of a swap
  private int[][] best;

  /**
   * Prepares a search.
   *
   * @param steps most blocks of proposals, {@link Annealing#BLOCK} each
   * @param asserting whether to check every change of a cost from scratch: slow
   * @param improved is called with each better map, on the calling thread
   */
  PoolSearch(
      Chain chain,
      long seed,
      long steps,
      boolean asserting,
      BooleanSupplier isTimeUp,
      Consumer<int[][]> improved) {
    this.chain = chain;
    this.pairs = new PairCounts(chain);
    this.starts = new PoolStarts(chain, isTimeUp);
    this.random = new SplittableRandom(seed);
    this.asserting = asserting;
    this.isTimeUp = isTimeUp;
    this.improved = improved;
    this.pool = new LayerPool(chain);
    this.sweeps =
        chain.prices().hasLayerTerms() || chain.hasCaps() || Sweeps.slots(chain) > SWEPT
            ? Optional.empty() // of the former a sweep knows nothing
            : Optional.of(new Sweeps(chain, isTimeUp, asserting));
    this.stepsLeft = steps;
    long experts = 0;
    int widest = 0;
    for (int layer = 0; layer < chain.layers(); layer++) {
      experts += chain.size(layer);
      widest = Math.max(widest, chain.size(layer));
    }

    this.proposals =
        Math.min(MOST_PROPOSALS, Math.max(LEAST_PROPOSALS, PROPOSALS * experts * widest));
    // what recombination costs grows with the parts: an assignment for each pair of partitions
    this.poolSize = Math.max(POPULATION + 2, Math.min(POOL, POOL * 8 / chain.parts().gpus()));
    this.windows = Math.max(WINDOWS, chain.layers() / WIDTH);
  }

  /**
   * Searches until time or steps are up, or for a number of epochs without improvement.
   *
   * @param start a map within the caps, that the answer is not worse than
   * @param patience epochs without improvement that end the search
   * @param workers carry out the anneals
   */
  int[][] run(int[][] start, int patience, Workers workers) {
    best = start;
    AnnealedMap map = new AnnealedMap(pairs, asserting);
    map.reset(Starts.random(chain, random));
    unit = new Annealing(chain, map, isTimeUp).unit(random);
    int failures = 0;
    while (failures < patience && !isOver()) {
      long before = chain.cost(best);
      epoch(workers);
      failures = chain.cost(best) < before ? 0 : failures + 1;
    }

    return best;
  }

  private boolean isOver() {
    return stepsLeft <= 0 || isTimeUp.getAsBoolean();
  }

  private void epoch(Workers workers) {
    pool.clear();
    if (random.nextInt(3) > 0) {
      pool.add(best);
    }

    int[] made = {0};
    carryOut(POPULATION, own -> planAnneal(made[0]++ % starts.kinds(), own), workers);
    if (pool.emptyLayer().isPresent()) {
      pool.add(best); // under caps, some layer of all the others may be above its own
    }

    int[][] current = windows(pool.best(), workers);
    archive.forEach(pool::add);
    archive.add(current);
    if (archive.size() > 2) {
      windows(pool.best(), workers);
    }

    if (archive.size() > ARCHIVE) {
      archive.remove(0);
    }
  }

  /** Anneals windows of a map as long as that helps, or sweeps over single layers do. */
  private int[][] windows(int[][] start, Workers workers) {
    int[][] current = start;
    long before;
    do {
      current = annealedWindows(current, workers);
      before = chain.cost(current);
      if (sweeps.isPresent() && !isOver()) {
        current = sweeps.get().improve(current);
        pool.add(current);
        offer(current);
      }
    } while (chain.cost(current) < before);

    return current;
  }

  private int[][] annealedWindows(int[][] start, Workers workers) {
    int[][] current = start;
    long cost = offer(current);
    int failures = 0;
    while (failures < FAILURES && !isOver()) {
      int[][] from = current;
      carryOut(windows, own -> planWindow(from, own), workers);
      int[][] next = pool.best();
      long nextCost = offer(next);
      failures++;
      if (nextCost < cost) {
        current = next;
        cost = nextCost;
        failures = 0;
      }

      if (pool.size() > poolSize) {
        pool.clear();
        pool.add(current);
      }
    }

    return current;
  }

  /** An anneal to come: the steps that it takes of those that are left, and what to do. */
  private record Plan(long steps, Callable<int[][]> task) {}

  private interface Planner {
    Plan plan(SplittableRandom own);
  }

  /** Plans tasks with a random generator each, carries them out and adds what they find. */
  private void carryOut(int count, Planner planner, Workers workers) {
    List<Callable<int[][]>> tasks = new ArrayList<>();
    for (int i = 0; i < count && stepsLeft > 0; i++) {
      Plan plan = planner.plan(random.split());
      stepsLeft -= plan.steps;
      tasks.add(plan.task);
    }

    workers.all(tasks).forEach(pool::add);
  }

  /** As many of the proposals as the steps left allow. */
  private long allowed(long wanted) {
    long steps = Math.max(1, wanted / Annealing.BLOCK);
    return Math.min(steps, stepsLeft) * Annealing.BLOCK;
  }

  /** A map annealed from a start of a kind. */
  private Plan planAnneal(int kind, SplittableRandom own) {
    boolean twice = PoolStarts.isAnnealed(kind);
    long count = allowed(twice ? proposals + proposals / 2 : proposals);
    long first = twice ? count / 3 : 0;
    return new Plan(
        count / Annealing.BLOCK,
        () -> {
          double heat = HOT * (0.4 + 1.2 * own.nextDouble());
          AnnealedMap map = new AnnealedMap(pairs, asserting);
          map.reset(starts.of(kind, first, HOT, COLD, own));
          if (kind == 1) {
            heat *= 0.3 + 0.5 * own.nextDouble(); // a start that has structure is not molten
          } else if (twice) {
            heat *= 0.3;
          }

          return annealed(map, 0, chain.layers() - 1, count - first, heat, own);
        });
  }

  private Plan planWindow(int[][] from, SplittableRandom own) {
    return chain.layers() > WIDTH && own.nextDouble() < WIDE
        ? planWideWindow(from, own)
        : planNarrowWindow(from, own);
  }

  /** A map of which some adjacent layers are annealed again. */
  private Plan planNarrowWindow(int[][] from, SplittableRandom own) {
    int width = Math.min(chain.layers(), 2 + own.nextInt(WIDTH - 1));
    int first = own.nextInt(chain.layers() - width + 1);
    long count = (long) (proposals * WINDOW_PROPOSALS * width / WIDTH);
    return planWindow(from, first, first + width - 1, count, REHEATED_LEAST, REHEATED_MOST, own);
  }

  /**
   * A map of which many adjacent layers are annealed again, from hotter: that is how maps of
   * different valleys differ, mostly at an end of the model. Most of these windows reach an end,
   * where they are free on one side.
   */
  private Plan planWideWindow(int[][] from, SplittableRandom own) {
    int layers = chain.layers();
    int width = WIDTH + own.nextInt(layers - WIDTH);
    int begin = own.nextInt(layers) - width / 2;
    int first = Math.max(0, begin);
    int last = Math.min(layers, begin + width) - 1;
    long count = proposals * (last - first + 1) / layers;
    return planWindow(from, first, last, count, MOLTEN_LEAST, HOT, own);
  }

  private Plan planWindow(
      int[][] from,
      int first,
      int last,
      long wanted,
      double leastHeat,
      double mostHeat,
      SplittableRandom own) {
    long count = allowed(wanted);
    return new Plan(
        count / Annealing.BLOCK,
        () -> {
          AnnealedMap map = new AnnealedMap(pairs, asserting);
          map.reset(from);
          double heat = leastHeat * Math.pow(mostHeat / leastHeat, own.nextDouble());
          return annealed(map, first, last, count, heat, own);
        });
  }

  private int[][] annealed(
      AnnealedMap map, int first, int last, long count, double heat, SplittableRandom own) {
    new Annealing(chain, map, isTimeUp).run(first, last, count, unit * heat, unit * COLD, own);
    return map.copy();
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
