package io.expertatlas.placement.search;

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
 * layer, the first few each slower than the one before it, as a slow anneal beats quick ones; the
 * best partition of each layer is kept.
 */
final class FanoutSearch {
  /** Of the first round, for each pair of experts of a layer. */
  private static final long PROPOSALS = 60;

  private static final int SLOWER = 2; // proposals of a round over those of the round before
  private static final long SLOWEST = 8 * PROPOSALS;
  private static final double HOT = 0.5; // temperatures, in units of a swap's mean effect
  private static final double COLD = 0.02;

  private final Chain[] layers;
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
    this.random = new SplittableRandom(seed);
    this.stepsLeft = steps;
    this.asserting = asserting;
    this.isTimeUp = isTimeUp;
  }

  /**
   * Searches for a number of rounds, or until time is up.
   *
   * @param start a map within the caps, that the answer is not worse than
   * @param improved is called with the map after each round that improved it
   */
  int[][] run(int[][] start, int rounds, Workers workers, Consumer<int[][]> improved) {
    int[][] best = start.clone();
    long proposals = PROPOSALS;
    for (int round = 0; round < rounds && stepsLeft > 0 && !isTimeUp.getAsBoolean(); round++) {
      List<Callable<int[]>> tasks = new ArrayList<>();
      for (int layer = 0; layer < layers.length; layer++) {
        SplittableRandom own = random.split();
        Chain chain = layers[layer];
        int[] from = best[layer];
        long size = chain.size(0);
        long steps = Math.min(stepsLeft, 1 + proposals * size * size / Annealing.BLOCK);
        stepsLeft -= steps;
        long count = steps * Annealing.BLOCK;
        boolean fresh = round == 0;
        tasks.add(() -> annealed(chain, from, fresh, count, own));
      }

      List<int[]> found = workers.all(tasks);
      boolean better = false;
      for (int layer = 0; layer < layers.length; layer++) {
        int[] now = found.get(layer);
        if (layers[layer].isMetBy(new int[][] {now})
            && layers[layer].layerCost(0, now) < layers[layer].layerCost(0, best[layer])) {
          best[layer] = now;
          better = true;
        }
      }

      if (better) {
        improved.accept(best.clone());
      }

      proposals = Math.min(proposals * SLOWER, SLOWEST);
    }

    return best;
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
