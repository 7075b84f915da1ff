package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;

/**
 * Local search by whole layers: with the other layers fixed, the best map of one layer is a
 * transportation problem; sweep forth and back through the layers until none improves. Not safe for
 * several threads.
 */
public final class Sweeps {
  /** System property that, when true, recomputes every cost from scratch: slow. */
  public static final String ASSERT_PROPERTY = "atlas.assert-costs";

  private final Chain chain;
  private final BooleanSupplier isTimeUp;
  private final boolean asserting;

  /** Searches in a chain until done or told to stop. */
  public Sweeps(Chain chain, BooleanSupplier isTimeUp) {
    this(chain, isTimeUp, Boolean.getBoolean(ASSERT_PROPERTY));
  }

  Sweeps(Chain chain, BooleanSupplier isTimeUp, boolean asserting) {
    this.chain = chain;
    this.isTimeUp = isTimeUp;
    this.asserting = asserting;
  }

  /** The most slots of any layer: experts that its parts have room for, each part by itself. */
  static long slots(Chain chain) {
    long most = 0;
    for (int layer = 0; layer < chain.layers(); layer++) {
      long slots = 0;
      for (int part = 0; part < chain.parts().gpus(); part++) {
        slots += Math.min(chain.size(layer), chain.most(layer, part));
      }

      most = Math.max(most, slots);
    }

    return most;
  }

  /** The local optimum that a map leads to; never worse than the map. */
  public int[][] improve(int[][] start) {
    DeltaCost state = new DeltaCost(chain, start, asserting);
    boolean improved = true;
    while (improved && !isTimeUp.getAsBoolean()) {
      improved = false;
      for (int layer = 0; layer < chain.layers() && !isTimeUp.getAsBoolean(); layer++) {
        improved |= reassign(state, layer);
      }

      for (int layer = chain.layers() - 2; layer >= 0 && !isTimeUp.getAsBoolean(); layer--) {
        improved |= reassign(state, layer);
      }
    }

    return state.map();
  }

  /**
   * The best local optimum of several starts: the given one, then random ones, every second of
   * which grows from a random first layer.
   *
   * @param starts how many, at least 1
   */
  public int[][] best(int[][] first, int starts, SplittableRandom random) {
    int[][] best = improve(first);
    long cost = chain.cost(best);
    for (int start = 1; start < starts && !isTimeUp.getAsBoolean(); start++) {
      int[][] map = Starts.random(chain, random.split());
      int[][] found = improve(start % 2 == 1 ? grow(map) : map);
      long foundCost = chain.cost(found);
      if (foundCost < cost) {
        best = found;
        cost = foundCost;
      }
    }

    return best;
  }

  /** Keeps the first layer, and chooses each next layer by the one before it alone. */
  private int[][] grow(int[][] start) {
    int[][] map = Arrays.stream(start).map(int[]::clone).toArray(int[][]::new);
    for (int layer = 1; layer < chain.layers(); layer++) {
      DeltaCost state = new DeltaCost(chain, map, false);
      map[layer] = cheapest(layer, costs(state, layer, false));
    }

    return map;
  }

  private boolean reassign(DeltaCost state, int layer) {
    int parts = chain.parts().gpus();
    long[] costs = costs(state, layer, true);
    int[] cheapest = cheapest(layer, costs);
    long delta = 0;
    for (int i = 0; i < cheapest.length; i++) {
      delta += costs[i * parts + cheapest[i]] - costs[i * parts + state.part(layer, i)];
    }

    if (delta < 0) {
      state.assign(layer, cheapest, delta);
    }

    return delta < 0;
  }

  private long[] costs(DeltaCost state, int layer, boolean withNext) {
    long[] costs = new long[chain.size(layer) * chain.parts().gpus()]; // [i][part]
    state.layerCosts(layer, costs, withNext);
    return costs;
  }

  /** Solves the transportation problem of a layer as an assignment of experts to slots. */
  private int[] cheapest(int layer, long[] costs) {
    int parts = chain.parts().gpus();
    int size = chain.size(layer);
    int slots = 0;
    long high = 1;
    for (int part = 0; part < parts; part++) {
      slots += Math.min(size, chain.most(layer, part));
    }

    for (long cost : costs) {
      high = Math.max(high, cost + 1);
    }

    int[] partOf = new int[slots];
    long[] slotCosts = new long[slots * slots]; // rows: experts, then empty places
    int slot = 0;
    for (int part = 0; part < parts; part++) {
      int room = Math.min(size, chain.most(layer, part));
      for (int place = 0; place < room; place++) {
        partOf[slot] = part;
        for (int row = 0; row < slots; row++) {
          boolean mustHold = place < chain.least(layer, part);
          slotCosts[row * slots + slot] =
              row < size ? costs[row * parts + part] : mustHold ? high * slots : 0;
        }

        slot++;
      }
    }

    int[] slotOf = new int[slots];
    new Assignment(slots).minimize(slotCosts, slotOf);
    int[] map = new int[size];
    for (int i = 0; i < size; i++) {
      map[i] = partOf[slotOf[i]];
    }

    return map;
  }
}
