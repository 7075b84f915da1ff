package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * The search where hops cost nothing: each layer is a problem of its own. Rounds of one anneal a
 * layer, in turn from a random start and from the best partition so far, and slower and slower up
 * to a limit, as a slow anneal beats quick ones; the best partition of each layer is kept.
 */
final class FanoutSearch {
  /** Of the first round, for each pair of experts of a layer. */
  private static final long PROPOSALS = 60;

  private static final int SLOWER =
      2; // proposals of a pair of rounds over those of the pair before
  private static final long SLOWEST = 16 * PROPOSALS;
  private static final double HOT = 0.12; // temperatures, in units of a swap's mean effect
  private static final double COLD = 0.015;

  private static final int KEPT = 24; // partitions of a layer

  private final Chain[] layers;
  private final List<List<int[]>> kept = new ArrayList<>(); // [layer], cheapest first
  private final SplittableRandom random;
  private final boolean asserting;
  private final BooleanSupplier isTimeUp;
  private long stepsLeft;

  /**
   * Prepares a search.
   *
   * @param steps most blocks of proposals, {@link Annealing#BLOCK} each, over all layers
   * @param asserting whether to check every change of a cost from scratch: slow
   */
  FanoutSearch(Chain chain, long seed, long steps, boolean asserting, BooleanSupplier isTimeUp) {
    this.layers = new Chain[chain.layers()];
    Arrays.setAll(layers, chain::layer);
    Arrays.stream(layers).forEach(layer -> kept.add(new ArrayList<>()));
    this.random = new SplittableRandom(seed);
    this.stepsLeft = steps;
    this.asserting = asserting;
    this.isTimeUp = isTimeUp;
  }

  /**
   * Searches until a number of rounds improved nothing, or time is up.
   *
   * @param start a map within the caps, that the answer is not worse than
   * @param patience rounds without improvement that end the search
   * @param improved is called with the map after each round that improved it
   */
  int[][] run(int[][] start, int patience, Workers workers, Consumer<int[][]> improved) {
    int[][] best = start.clone();
    for (int layer = 0; layer < layers.length; layer++) {
      keep(layer, start[layer]);
    }

    long proposals = PROPOSALS;
    int failures = 0;
    for (int round = 0; failures < patience && stepsLeft > 0 && !isTimeUp.getAsBoolean(); round++) {
      boolean fresh = round % 2 == 0;
      List<Callable<int[]>> tasks = new ArrayList<>();
      for (int layer = 0; layer < layers.length; layer++) {
        SplittableRandom own = random.split();
        Chain chain = layers[layer];
        int[] from = best[layer];
        long size = chain.size(0);
        long steps = Math.min(stepsLeft, 1 + proposals * size * size / Annealing.BLOCK);
        stepsLeft -= steps;
        long count = steps * Annealing.BLOCK;
        tasks.add(() -> annealed(chain, from, fresh, count, own));
      }

      List<int[]> found = workers.all(tasks);
      boolean better = false;
      for (int layer = 0; layer < layers.length; layer++) {
        int[] now = found.get(layer);
        if (!layers[layer].isMetBy(new int[][] {now})) {
          continue;
        }

        keep(layer, now);
        if (cost(layer, now) < cost(layer, best[layer])) {
          best[layer] = now;
          better = true;
        }
      }

      if (better) {
        improved.accept(best.clone());
      }

      failures = better ? 0 : failures + 1;
      proposals = fresh ? proposals : Math.min(proposals * SLOWER, SLOWEST);
    }

    return best;
  }

  private void keep(int layer, int[] map) {
    List<int[]> all = kept.get(layer);
    int at = 0;
    while (at < all.size() && cost(layer, all.get(at)) <= cost(layer, map)) {
      if (isSameButForNames(all.get(at), map)) {
        return;
      }

      at++;
    }

    all.add(at, map);
    if (all.size() > KEPT) {
      all.remove(KEPT);
    }
  }

  /** Whether two maps of a layer differ in names alone. */
  boolean isSameButForNames(int[] one, int[] other) {
    Topology parts = layers[0].parts();
    for (int i = 0; i < one.length; i++) {
      for (int j = 0; j < i; j++) {
        if (one[i] == one[j] != (other[i] == other[j])
            || parts.node(one[i])
                == parts.node(one[j])
                != (parts.node(other[i]) == parts.node(other[j]))) {
          return false;
        }
      }
    }

    return true;
  }

  /** What a map of a layer costs. */
  long cost(int layer, int[] map) {
    return layers[layer].layerCost(0, map);
  }

  /** The cheapest partitions that the rounds ended with, {@code [layer]}, cheapest first. */
  List<List<int[]>> kept() {
    return kept;
  }

  private int[] annealed(
      Chain chain, int[] from, boolean fresh, long proposals, SplittableRandom own) {
    AnnealedMap map = new AnnealedMap(new PairCounts(chain), asserting);
    map.reset(fresh ? Starts.random(chain, own) : new int[][] {from});
    Annealing anneal = new Annealing(chain, map, isTimeUp);
    double unit = anneal.unit(own);
    anneal.run(0, 0, proposals, unit * HOT, unit * COLD, own);
    return map.copy()[0];
  }
}
